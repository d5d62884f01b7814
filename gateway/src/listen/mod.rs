//! Where requests come in: sockets, how many connections there may be, who is connected, the head.

pub mod admission;
pub mod bind;
pub mod client;
pub mod head;
pub mod preface;
pub mod proxy_line;

pub use admission::{Admission, Slot};
pub use bind::{BindFault, Bound, Listening, copies};
pub use head::{Incoming, head_limits, read_head};
