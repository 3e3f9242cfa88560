//! The controller against an API server of the test's own, over HTTP.

mod apiserver;
mod controller;
mod election;
mod golden;
