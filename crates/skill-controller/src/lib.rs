//! Turns SkillTopics, Kubernetes objects that each describe a topic and its workers, into Deployments,
//! Services, disruption budgets and KEDA ScaledObjects, and says in their status what became of it.
//!
//! What a topic should look like is a pure function ([`desired::objects`]), and so is what its status
//! says ([`status`]). Around them stand a thin client of the Kubernetes API ([`api`]), the election of
//! one leader among replicas ([`election`]), and the loop that brings them together ([`controller`]).
//! This crate knows the flags of `skills worker`, but neither the mesh's code nor the skills.
//!
//! Objects are written by server-side apply under one field manager, so that what others set on them
//! (an autoscaler the number of replicas, a person an annotation) stays. They carry an owner reference:
//! the cluster removes them with their SkillTopic. An object of the same name that belongs to somebody
//! else is left alone, and the status says so.

pub mod api;
pub mod backoff;
pub mod controller;
pub mod desired;
pub mod election;
pub mod health;
mod reconcile;
pub mod settings;
pub mod status;
pub mod topic;
mod worker;

/// Under this name the API server remembers which fields are ours.
pub const FIELD_MANAGER: &str = "skills-controller";
