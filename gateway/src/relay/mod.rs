//! The direct lane: HTTP/1.1 between a client and an origin, byte for byte and in constant memory.
//!
//! Every step that waits keeps its progress outside of its future, so that the corridor may watch several
//! steps at once and drop the one it no longer needs without losing a byte.

pub mod download;
pub mod fetch;
pub mod follow;
pub mod local;
pub mod origin;
pub mod tunnel;
pub mod upload;

pub use download::{Download, DownloadFault};
pub use origin::{AnswerFault, Origin, Reader};
pub use upload::{Upload, UploadFault};
