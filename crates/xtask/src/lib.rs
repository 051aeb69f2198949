//! The chores of this project's own developers.

pub mod document;
pub mod drift;
mod pointer;
pub mod route;
pub mod slice;
pub mod workspace;
mod yaml;
