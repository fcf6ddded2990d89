//! Why a command failed; the kind is the exit code, which scripts rely on.

use std::fmt;
use std::process::ExitCode;

use crate::api::ApiError;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It went wrong: 1.
    Failed(String),
    /// It was asked for wrongly: 2.
    Usage(String),
    /// The relay is not reachable: 3.
    Unreachable(String),
    /// The token does not allow it: 4.
    NotAllowed(String),
    /// There is no such thing: 5.
    NotFound(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::NotAllowed(_) => 4,
            Self::NotFound(_) => 5,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why)
            | Self::Usage(why)
            | Self::Unreachable(why)
            | Self::NotAllowed(why)
            | Self::NotFound(why) => f.write_str(why),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let why = error.to_string();
        match error {
            ApiError::Unreachable(_) => Self::Unreachable(why),
            ApiError::NotAllowed(_) => Self::NotAllowed(why),
            ApiError::NotFound(_) => Self::NotFound(why),
            ApiError::NotNow(_) | ApiError::Failed(_) => Self::Failed(why),
        }
    }
}
