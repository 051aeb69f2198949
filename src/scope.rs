//! The calls as they are made, in the scope of an account or of a zone.

use std::sync::Arc;

use crate::error::Error;
use crate::generated::Client;
use crate::generated::operations::*;
use crate::generated::types::ServiceToken;
use crate::id::{AccountId, ServiceTokenId, ZoneId};
use crate::issued::IssuedServiceToken;
use crate::operation::Operation;
use crate::options::CallOptions;
use crate::page::{Filter, ServiceTokenPage};
use crate::request::{CreateServiceToken, UpdateServiceToken};
use crate::response::Response;
use crate::transport::Transport;

/// Updates that may make a new secret, which a second answer would not hold.
static ROTATING_UPDATE_OF_ACCOUNT: Operation = Operation {
    idempotent: false,
    ..UPDATE_ACCOUNT_SERVICE_TOKEN
};
static ROTATING_UPDATE_OF_ZONE: Operation = Operation {
    idempotent: false,
    ..UPDATE_ZONE_SERVICE_TOKEN
};

/// Whose service tokens a call is about, and how to make the call.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) transport: Arc<Transport>,
    pub(crate) owner: Owner,
    pub(crate) options: CallOptions,
}

/// The account or the zone that service tokens belong to.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    Account(AccountId),
    Zone(ZoneId),
}

/// Makes a call by the generated method that the operation has in this scope.
macro_rules! in_scope {
    (
        $scope:ident,
        $of_account:expr => $by_account:ident,
        $of_zone:expr => $by_zone:ident,
        ($($argument:expr),+)
    ) => {{
        let Scope { transport, owner, options } = $scope;
        match owner {
            Owner::Account(account) => {
                let send = |client: Client| async move {
                    client.$by_account(account, $($argument),+).await
                };
                transport.call(&$of_account, options, send).await
            }
            Owner::Zone(zone) => {
                let send = |client: Client| async move {
                    client.$by_zone(zone, $($argument),+).await
                };
                transport.call(&$of_zone, options, send).await
            }
        }
    }};
}

impl Scope {
    pub(crate) fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            options: set(self.options.clone()),
            ..self.clone()
        }
    }

    pub(crate) async fn list(
        &self,
        filter: &Filter,
        page: u32,
    ) -> Result<Response<ServiceTokenPage>, Error> {
        let (name, search) = (filter.name.as_deref(), filter.search.as_deref());
        let (page, per_page) = (Some(page.into()), Some(filter.per_page.into()));
        in_scope!(
            self,
            LIST_ACCOUNT_SERVICE_TOKENS => list_account_service_tokens,
            LIST_ZONE_SERVICE_TOKENS => list_zone_service_tokens,
            (name, page, per_page, search)
        )
    }

    pub(crate) async fn create(
        &self,
        request: &CreateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        let body = &request.checked()?;
        in_scope!(
            self,
            CREATE_ACCOUNT_SERVICE_TOKEN => create_account_service_token,
            CREATE_ZONE_SERVICE_TOKEN => create_zone_service_token,
            (body)
        )
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Response<ServiceToken>, Error> {
        let id = &ServiceTokenId::new(id)?;
        in_scope!(
            self,
            GET_ACCOUNT_SERVICE_TOKEN => get_account_service_token,
            GET_ZONE_SERVICE_TOKEN => get_zone_service_token,
            (id)
        )
    }

    pub(crate) async fn update(
        &self,
        id: &str,
        request: &UpdateServiceToken,
    ) -> Result<Response<ServiceToken>, Error> {
        let id = &ServiceTokenId::new(id)?;
        let body = &request.checked()?;
        let (of_account, of_zone) = if request.may_rotate() {
            (&ROTATING_UPDATE_OF_ACCOUNT, &ROTATING_UPDATE_OF_ZONE)
        } else {
            (&UPDATE_ACCOUNT_SERVICE_TOKEN, &UPDATE_ZONE_SERVICE_TOKEN)
        };
        in_scope!(
            self,
            *of_account => update_account_service_token,
            *of_zone => update_zone_service_token,
            (id, body)
        )
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<Response<ServiceToken>, Error> {
        let id = &ServiceTokenId::new(id)?;
        in_scope!(
            self,
            DELETE_ACCOUNT_SERVICE_TOKEN => delete_account_service_token,
            DELETE_ZONE_SERVICE_TOKEN => delete_zone_service_token,
            (id)
        )
    }
}
