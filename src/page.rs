//! One page of a listing: what is asked for, and what comes.

use crate::generated::types::{ResultInfo, ServiceToken};

/// The documented maximum of `per_page`, which is also its default.
pub(crate) const MAX_PER_PAGE: u32 = 1000;

/// One page of service tokens.
///
/// See the example of [`ListServiceTokens::page`](crate::ListServiceTokens::page).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceTokenPage {
    /// The tokens of the page.
    pub tokens: Vec<ServiceToken>,
    /// Where the page stands among the others, as far as the API said.
    pub result_info: Option<ResultInfo>,
}

/// What to ask of each page.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) per_page: u32,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            name: None,
            search: None,
            per_page: MAX_PER_PAGE,
        }
    }
}

impl Filter {
    /// Whether it leaves out any token.
    pub(crate) fn narrows(&self) -> bool {
        self.name.is_some() || self.search.is_some()
    }
}
