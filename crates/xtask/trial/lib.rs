//! What the generated code needs around it to compile, and no more: for the root
//! crate's own types, which are written by hand, stands the least that will do. `cargo
//! xtask try` copies this file to the crate that it compiles.
#![allow(warnings)]

mod generated;

pub mod duration {
    pub type TokenDuration = String;
}

pub mod envelope {
    pub type IssuedServiceTokenEnvelope = super::issued::IssuedServiceToken;
}

pub mod exchange {
    #[derive(Clone, Debug)]
    pub struct Exchange;

    impl progenitor_client::ClientHooks<Exchange> for crate::generated::Client {}
}

pub mod id {
    pub type AccountId = String;
    pub type ServiceTokenId = String;
}

pub mod issued {
    #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
    pub struct IssuedServiceToken;
}

pub mod operation {
    pub struct Operation {
        pub id: &'static str,
        pub method: &'static str,
        pub path: &'static str,
        pub idempotent: bool,
    }
}
