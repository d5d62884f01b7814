//! Comparing what must not be guessed byte by byte.

use std::hint::black_box;

/// Whether both are equal. Takes as long for the first byte that differs as for the last; lengths are no secret.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // The box keeps the compiler from seeing that it could stop at the first difference.
    let differing = a.iter().zip(b).fold(0u8, |sum, (a, b)| black_box(sum | (a ^ b)));
    black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_equality(a: Vec<u8>, b: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
            prop_assert!(is_same(&a, &a.clone()));
            prop_assert_eq!(is_same(&a, &b), a == b);
            let mut other = a.clone();
            if !other.is_empty() {
                let at = at.index(other.len());
                other[at] ^= 1 << bit;
                prop_assert!(!is_same(&a, &other));
            }
        }
    }
}
