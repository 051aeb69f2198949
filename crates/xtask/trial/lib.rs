//! The least that the generated code needs to compile: stand-ins for the root crate's
//! handwritten types. `cargo xtask try` copies this file to the crate that it compiles.
#![allow(warnings)]

mod generated;

pub mod answer {
    pub mod envelope {
        #[derive(Clone, Debug, serde::Deserialize)]
        pub struct Envelope<T> {
            pub result: Option<T>,
        }

        #[derive(Clone, Debug, serde::Deserialize)]
        pub struct Failure;
    }

    pub mod message {
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        pub struct ApiMessage;

        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        pub struct ApiMessageSource;
    }
}

pub mod duration {
    pub type TokenDuration = String;
}

pub mod tokens {
    pub mod id {
        pub type AccountId = String;
        pub type ServiceTokenId = String;
    }

    pub mod issued {
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        pub struct IssuedServiceToken;
    }
}

pub mod call {
    pub mod operation {
        pub struct Operation {
            pub id: &'static str,
            pub method: http::Method,
            pub path: &'static str,
            pub idempotent: bool,
            pub permission: Option<&'static str>,
        }
    }

    pub mod request {
        pub struct Requests {
            pub baseurl: String,
            pub client: reqwest::Client,
        }

        pub struct Prepared<A>(reqwest::Request, std::marker::PhantomData<A>);

        impl<A> Prepared<A> {
            pub fn new(request: reqwest::Request) -> Self {
                Self(request, std::marker::PhantomData)
            }
        }

        pub fn encode_path(segment: &str) -> &str {
            segment
        }
    }
}
