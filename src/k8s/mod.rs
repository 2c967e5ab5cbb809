//! Kubernetes: the injector, which gives pods that ask for it their sidecar.
//!
//! ```text
//!   values.rs    what the platform gives to all pods  ─┐
//!   annotations.rs   what one pod asks for            ─┴─► settings.rs, store_secret.rs   settings of its sidecar
//!                                                              │
//!                          container.rs, volumes.rs  ◄─────────┘
//!                                     │
//!                                 inject.rs   what is added to the pod, or why not
//!                                   │    │
//!   admission.rs, serve.rs  ◄───────┘    └───────►  manifest.rs
//!   for the API server, over HTTPS                  `ackline inject -f`, over files
//! ```
//!
//! `certificate/` makes, keeps and replaces the certificate of the HTTPS server.
//!
//! # Invariants
//!
//! - K1: a pod is only added to. Nothing that it has is changed or removed, known to us or not.
//! - K2: what has its sidecar already is left as it is, so that another call changes nothing.
//! - K3: a pod that asks for what cannot be is refused, with all of its mistakes; never half injected.
//! - K4: the webhook and the command make the same pod.
//! - K5: what an annotation may set is a list. Where Kafka is, how it is spoken to and what is listened on is
//!   the platform's to say.
//!
//! # Deliberately absent
//!
//! The injector asks the API server for nothing about pods: what it needs is in the call and in its own
//! values. It knows no Secret but that of its certificate, and no ConfigMap.

mod admission;
mod annotations;
pub mod certificate;
mod container;
mod inject;
mod manifest;
mod mistake;
mod quantity;
mod serve;
mod settings;
mod store_secret;
mod values;
mod volumes;

pub use admission::{Admission, Reviewed, review};
pub use inject::{Addition, Injection, inject};
pub use manifest::{Injected, inject_manifests};
pub use mistake::{Mistake, Mistakes};
pub use serve::{CertificateSource, Error, Injector, serve};
pub use values::Values;

#[cfg(test)]
mod tests;
