//! CRC-32C (RFC 3720 §12.1), a byte at a time: headers that have one are short, and few.

/// The polynomial of Castagnoli, bits turned around.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let mut sum = at as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ POLYNOMIAL
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
}

/// Of several pieces, one behind the other.
pub(super) fn of<const N: usize>(pieces: [&[u8]; N]) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(!0, |sum: u32, byte| {
        sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4
    #[test]
    fn it_is_the_one_of_iscsi() {
        assert_eq!(of([&[0; 32]]), 0x8a91_36aa);
        assert_eq!(of([&[0xff; 32]]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(of([&ascending]), 0x46dd_794e);
        assert_eq!(of([&ascending[..5], &ascending[5..]]), 0x46dd_794e);
    }
}
