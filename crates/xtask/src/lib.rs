//! Development commands of this project.

#[path = "../../../build/mod.rs"]
mod build;
pub mod document;
pub mod drift;
mod openapi_3_0;
mod pointer;
pub mod public_api;
pub mod report;
pub mod route;
pub mod slice;
pub mod trial;
pub mod types;
pub mod workspace;
