//! What runs the hub asks: probes, metrics, and the index by which agents
//! discover what is here.

pub mod discovery;
pub mod metrics_page;
pub mod probes;
