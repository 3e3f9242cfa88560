//! Reading and curating the catalogue: one file per endpoint, and beside them
//! what several share (`body`, `links`, `cache`, `find`, `summaries`).
//!
//! An endpoint's file holds its parameters, its error enum with the exhaustive
//! match from error to status, its handler and its OpenAPI annotation. To add
//! one: write the file, name its handler in `routes.rs` and `openapi.rs`.

pub mod body;
pub mod cache;
pub mod curate;
pub mod find;
pub mod links;
pub mod summaries;

pub mod add_owner;
pub mod delete_rating;
pub mod deprecate;
pub mod get_skill;
pub mod get_version;
pub mod health;
pub mod list_dependents;
pub mod list_downloads;
pub mod list_owners;
pub mod list_ratings;
pub mod list_skills;
pub mod list_tags;
pub mod put_rating;
pub mod remove_owner;
pub mod search_skills;
pub mod undeprecate;
