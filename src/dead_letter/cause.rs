//! Why a record was given up.

/// Why a record does not go the usual way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It failed as often as it may.
    Failures,
    /// Applications died of it as often as they may.
    Crashes,
    /// No stream can receive it.
    Oversize,
    /// The application said so.
    Application,
    /// An operator said so.
    Operator,
}

impl Cause {
    /// Every label that [`Cause::label`] can give.
    pub const LABELS: [&'static str; 5] =
        ["failures", "crashes", "oversize", "application", "operator"];

    /// A name for headers, metrics and status, from a small closed set.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Crashes => "crashes",
            Self::Oversize => "oversize",
            Self::Application => "application",
            Self::Operator => "operator",
        }
    }
}
