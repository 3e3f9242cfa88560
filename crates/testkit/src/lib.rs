//! What tests stand on: a real hub on port 0 with a database, a blob store and a
//! clock of the test's choosing, and people and skills to fill it with. Nothing
//! here is compiled into the product.
//!
//! ```no_run
//! # async fn example() {
//! use testkit::{Fixture, TestHub};
//!
//! let hub = TestHub::start().await;
//! let alice = hub.publisher("alice").await;
//! alice.publish(&Fixture::new("csv-reader").version("1.0.0")).await.assert_status(201);
//! hub.get("/api/v1/skills/csv-reader").await.assert_status(200);
//! # }
//! ```
//!
//! A test that is to hold on both databases takes a [`HubBuilder`] and is named
//! in [`on_both!`]. PostgreSQL and S3 are found through `TEST_POSTGRES_URL` and
//! `TEST_S3_URL`, which `cargo xtask test` sets.

mod answer;
mod bucket;
mod clock;
mod fixture;
mod hub;
mod people;
mod postgres;
pub mod seed;

pub use answer::Answer;
pub use clock::ManualClock;
pub use fixture::Fixture;
pub use hub::{Blobs, Database, HubBuilder, TestHub};
pub use people::{PASSWORD, Person};
pub use postgres::TestDatabase;

/// Declares, for each test body named (`async fn body(hub: HubBuilder)`), one
/// test on SQLite and one on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::HubBuilder::on($crate::Database::Sqlite)).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::HubBuilder::on($crate::Database::Postgres)).await;
                }
            )+
        }
    };
}
