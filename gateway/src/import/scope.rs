//! What holds at a place: nginx's blocks inherit from those around them.

use super::tree::Directive;

/// The blocks around a place, `http` first.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'t> {
    levels: Vec<&'t [Directive]>,
}

impl<'t> Scope<'t> {
    pub fn new(http: &'t [Directive]) -> Self {
        Self { levels: vec![http] }
    }

    /// The place within one more block.
    pub fn within(&self, block: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The directives of that name in the innermost block that has any: those of outer ones do not count then.
    pub fn all(&self, name: &str) -> Vec<&'t Directive> {
        for level in self.levels.iter().rev() {
            let found: Vec<_> = level.iter().filter(|d| d.name == name).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The last of them.
    pub fn one(&self, name: &str) -> Option<&'t Directive> {
        self.all(name).pop()
    }

    /// The first word of it, or "".
    pub fn word(&self, name: &str) -> &'t str {
        self.one(name).map_or("", |d| d.arg(0))
    }

    /// What a directive about passing requests on is called here: nginx has a family of its own for gRPC.
    pub fn passing(&self, rest: &str) -> String {
        let family = match self.own_one("grpc_pass") {
            Some(_) => "grpc",
            None => "proxy",
        };
        format!("{family}_{rest}")
    }

    /// The block itself.
    pub fn own(&self) -> &'t [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }

    /// All of that name in the block itself.
    pub fn own_all(&self, name: &str) -> Vec<&'t Directive> {
        self.own().iter().filter(|d| d.name == name).collect()
    }

    /// The last of that name in the block itself.
    pub fn own_one(&self, name: &str) -> Option<&'t Directive> {
        self.own_all(name).pop()
    }
}

impl<'t> Scope<'t> {
    /// The directives that fit in the innermost block that has any, in order.
    pub fn innermost(&self, fits: impl Fn(&Directive) -> bool) -> Vec<&'t Directive> {
        for level in self.levels.iter().rev() {
            let found: Vec<_> = level.iter().filter(|d| fits(d)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }
}
