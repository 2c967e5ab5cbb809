//! Decides.

pub mod effect;
pub mod ids;
pub mod input;
pub mod metadata;
pub mod settings;

pub use effect::*;
pub use ids::*;
pub use input::*;
pub use settings::*;
