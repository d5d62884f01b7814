//! The disk tier against whole, torn, damaged and foreign files.

#[test]
fn placeholder() {
    assert_eq!(size_of::<super::Location>(), 32);
}
