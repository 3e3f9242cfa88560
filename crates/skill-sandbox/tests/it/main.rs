//! Programs that try to get out, and what the sandbox promises about those that do not.

mod granting;
mod limits;
mod network;
mod processes;
mod reading;
mod running;
mod support;
mod system_calls;
mod warm;
mod writing;
