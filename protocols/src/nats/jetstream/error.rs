use std::error::Error;
use std::fmt;

use serde::Deserialize;

/// What JetStream refused, and why.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
#[non_exhaustive]
pub struct ApiError {
    /// As of HTTP: 404 for what is not there, 503 for what is not there now.
    pub code: u16,
    /// What it is exactly, such as 10071 for a wrong last sequence.
    pub err_code: u32,
    /// The same as a text.
    pub description: String,
}

impl ApiError {
    /// A stream, consumer or message is not there.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Another try may succeed: the cluster has no leader now (10008, 10009), moves a stream (10075), or the members that
    /// have the stream or consumer are down (10118, 10119). Other errors with the code 503, such as for a stream that is
    /// full, stay.
    pub fn is_passing(&self) -> bool {
        matches!(self.err_code, 10008 | 10009 | 10075 | 10118 | 10119)
    }

    /// An update found another revision than it expected.
    pub fn is_wrong_last_sequence(&self) -> bool {
        self.err_code == 10071
    }

    /// A stream has this name already, with another configuration.
    pub fn is_stream_name_in_use(&self) -> bool {
        self.err_code == 10058
    }

    /// A stream has one of these subjects already.
    pub fn are_subjects_in_use(&self) -> bool {
        self.err_code == 10065
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.description, self.code, self.err_code)
    }
}

impl Error for ApiError {}
