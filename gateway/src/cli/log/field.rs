//! The members of an access-log line in JSON: their names, and what kind of value each has.

/// What a member's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true`, or not there.
    Flag,
    /// A number.
    Number,
    /// A string.
    Text,
}

macro_rules! fields {
    ($($name:ident $text:literal $kind:ident;)*) => {
        /// A member of a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $(#[doc = $text] $name),*
        }

        impl Field {
            /// All of them, in the order in which a gateway writes them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The member of that name.
            pub fn of(name: &[u8]) -> Option<Self> {
                $(if name == $text.as_bytes() { return Some(Self::$name); })*
                None
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What its value is.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind),* }
            }
        }
    };
}

fields! {
    Time "time" Text;
    RequestId "request_id" Text;
    ClientIp "client_ip" Text;
    User "user" Text;
    Method "method" Text;
    Scheme "scheme" Text;
    Host "host" Text;
    Path "path" Text;
    Query "query" Text;
    Protocol "protocol" Text;
    Status "status" Number;
    BytesSent "bytes_sent" Number;
    BytesReceived "bytes_received" Number;
    DurationMs "duration_ms" Number;
    Route "route" Text;
    Upstream "upstream" Text;
    Server "server" Text;
    Tries "tries" Number;
    UpstreamMs "upstream_ms" Number;
    Cache "cache" Text;
    Refusal "refusal" Text;
    UserAgent "user_agent" Text;
    Referer "referer" Text;
    Slow "slow" Flag;
    HeadMs "head_ms" Number;
    GuardMs "guard_ms" Number;
    CacheMs "cache_ms" Number;
    QueueMs "queue_ms" Number;
    ConnectMs "connect_ms" Number;
    FirstByteMs "first_byte_ms" Number;
    BodyMs "body_ms" Number;
}

/// How many there are.
pub const COUNT: usize = Field::ALL.len();

/// Some of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u32);

const _: () = assert!(COUNT <= u32::BITS as usize, "each field has its bit");

impl Fields {
    /// These.
    pub fn of(fields: &[Field]) -> Self {
        Self(fields.iter().fold(0, |bits, field| bits | 1 << *field as u32))
    }

    /// These and one more.
    pub fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u32)
    }

    /// Whether it is one of them.
    pub fn has(self, field: Field) -> bool {
        self.0 >> field as u32 & 1 == 1
    }

    /// Without this one.
    pub fn without(self, field: Field) -> Self {
        Self(self.0 & !(1 << field as u32))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
