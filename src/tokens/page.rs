//! One page of a listing.

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
    /// The page's number and the API's counts, if the API gave them.
    pub result_info: Option<ResultInfo>,
}

/// The filter of a listing.
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
