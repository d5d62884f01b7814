//! Which coding a client gets, of those the operator offers.

use crate::config::plan::Coding;
use crate::kit::accept;
use crate::wire::{Fields, Name};

/// Every coding, each at the index that [`index`] gives it.
const NAMES: [&str; 3] = ["br", "gzip", "zstd"];

/// The coding that the client gives the most weight to; among equals the one that stands first in `algorithms`.
///
/// `request` is the request's head: all lines of Accept-Encoding are one list (RFC 9110 §5.3). An element that cannot
/// be read says nothing. The work is one look at each byte of the field, whatever is in it.
///
/// None means the plain form, also where the client refuses even that (`identity;q=0`) and takes nothing on offer.
/// RFC 9110 §12.5.3 has the plain form sent "unless the identity coding is indicated as unacceptable", but for that
/// case §12.4.1 lets a server disregard the field instead of refusing: the origin has already acted on the
/// request, and an answer the client can most likely read is of more use to it than a 406.
pub fn choose(request: &Fields, algorithms: &[Coding]) -> Option<Coding> {
    if algorithms.is_empty() || request.first(Name::AcceptEncoding).is_none() {
        return None;
    }
    let weights = accept::coding_weights(request.tokens(Name::AcceptEncoding), &NAMES);
    let mut best = (0, None);
    for coding in algorithms {
        let weight = weights[index(*coding)];
        if weight > best.0 {
            best = (weight, Some(*coding));
        }
    }
    best.1
}

fn index(coding: Coding) -> usize {
    match coding {
        Coding::Brotli => 0,
        Coding::Gzip => 1,
        Coding::Zstd => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    fn chosen(lines: &[&str], algorithms: &[Coding]) -> Option<Coding> {
        let mut request = Fields::default();
        for line in lines {
            request.push(b"Accept-Encoding", line.as_bytes());
        }
        choose(&request, algorithms)
    }

    #[test]
    fn the_names_stand_where_the_index_says() {
        for coding in ALL {
            assert_eq!(NAMES[index(coding)], coding.name());
        }
    }

    #[test]
    fn the_clients_weight_decides_and_then_the_operators_order() {
        use Coding::{Brotli, Gzip, Zstd};
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip, deflate", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("GZip;Q=0.5", Some(Gzip)),
            ("gzip;q=1.0, br;q=0.9, zstd;q=0.9", Some(Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0, br;q=0.001", Some(Brotli)),
            ("*", Some(Zstd)),
            ("*, zstd;q=0", Some(Brotli)),
            ("*;q=0.1, gzip;q=0.2", Some(Gzip)),
            ("*;q=0", None),
            ("*;q=0, gzip", Some(Gzip)),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0", None),
            ("identity;q=0, gzip;q=0.1", Some(Gzip)),
            ("deflate, compress, br2", None),
            ("", None),
            (",,  ,", None),
            ("gzip;q=", None),
            ("gzip;q=1.5", None),
            ("gzip;q=-1", None),
            ("gzip;q =0", None),
            ("gzip q=1", None),
            ("gzip;level=9", None),
            ("gzip;q=x, br", Some(Brotli)),
            ("\"gzip, br\"", None),
            ("\"gzip, br, zstd\"", Some(Brotli)),
        ] {
            assert_eq!(chosen(&[value], &ALL), expected, "{value}");
        }
    }

    #[test]
    fn only_what_the_operator_offers_is_chosen_and_in_his_order() {
        use Coding::{Brotli, Gzip, Zstd};
        let any = ["gzip, br, zstd"];
        assert_eq!(chosen(&any, &[Gzip, Zstd]), Some(Gzip));
        assert_eq!(chosen(&any, &[Brotli]), Some(Brotli));
        assert_eq!(chosen(&any, &[]), None);
        assert_eq!(chosen(&["gzip"], &[Zstd, Brotli]), None);
    }

    #[test]
    fn all_lines_are_one_list_and_no_line_is_the_plain_form() {
        assert_eq!(chosen(&["gzip;q=0.5", "br"], &ALL), Some(Coding::Brotli));
        assert_eq!(chosen(&["gzip", "zstd;q=0", "*"], &ALL), Some(Coding::Brotli));
        assert_eq!(chosen(&[], &ALL), None);
    }

    #[test]
    fn thousands_of_elements_are_read_like_few() {
        let many = "a,".repeat(5_000) + &"gzip;q=0.1,".repeat(5_000) + "br;q=0.2" + &",;;;q=".repeat(5_000);
        assert_eq!(chosen(&[&many], &ALL), Some(Coding::Brotli));
        let lines = vec!["*;q=0, gzip;q=0"; 5_000];
        assert_eq!(chosen(&lines, &ALL), None);
    }

    proptest! {
        #[test]
        fn the_choice_is_the_first_that_the_full_negotiation_wants(
            parts in proptest::collection::vec("(br|gzip|zstd|identity|\\*|x)(;q=(0|1|0\\.[0-9]{0,3}))?", 0..6),
            algorithms in Just(ALL.to_vec()).prop_shuffle(),
            count in 0_usize..=3,
        ) {
            let line = parts.join(", ");
            let offered: Vec<_> = algorithms[..count].iter().map(|c| c.name()).collect();
            let wanted = accept::codings(line.split(", ").map(str::as_bytes), &offered).wanted;
            let expected = wanted.first().map(|at| algorithms[*at]);
            prop_assert_eq!(chosen(&[&line], &algorithms[..count]), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut request = Fields::default();
            request.push(b"Accept-Encoding", &value);
            let _ = choose(&request, &ALL);
        }
    }
}
