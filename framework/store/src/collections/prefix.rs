/// Fails, at compile time when used as `const _: () = assert_disjoint(&[...])`, unless no prefix is the start of another.
pub const fn assert_disjoint(prefixes: &[&[u8]]) {
    let mut a = 0;
    while a < prefixes.len() {
        assert!(!prefixes[a].is_empty(), "a collection's prefix is empty");
        let mut b = 0;
        while b < prefixes.len() {
            assert!(
                a == b || !starts_with(prefixes[a], prefixes[b]),
                "a collection's prefix is the start of another's"
            );
            b += 1;
        }
        a += 1;
    }
}

const fn starts_with(bytes: &[u8], start: &[u8]) -> bool {
    if start.len() > bytes.len() {
        return false;
    }
    let mut i = 0;
    while i < start.len() {
        if bytes[i] != start[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Declares the prefixes of a module's collections as constants, once, and checks at compile time that none is the start
/// of another:
///
/// ```
/// gantry_store::prefixes! {
///     /// Supply by denom.
///     SUPPLY = b"\x00";
///     /// Balance by (owner, denom).
///     pub(crate) BALANCE = b"\x02";
/// }
/// ```
/// ```compile_fail
/// gantry_store::prefixes! {
///     SUPPLY = b"\x00";
///     SUPPLY_TOTAL = b"\x00\x01";
/// }
/// ```
#[macro_export]
macro_rules! prefixes {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident = $bytes:expr;)+) => {
        $($(#[$attribute])* $visibility const $name: &[u8] = $bytes;)+
        const _: () = $crate::assert_disjoint(&[$($name),+]);
    };
}
