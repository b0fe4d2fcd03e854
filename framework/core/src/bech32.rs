//! Bech32 (BIP-173), because every event and every message names addresses: an order of magnitude faster than the crate
//! of that name, which remains the judge of everything unusual.

/// Characters by value.
const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Values by character; 0xff for all others, upper case among them.
const VALUES: [u8; 256] = values();
/// What each value of the top five bits adds to the checksum.
const FEEDBACK: [u32; 32] = feedback();
/// Characters of a checksum.
const CHECKSUM: usize = 6;

/// Bytes of the longest address, and of the prefixes of this crate.
const MAX_DATA: usize = 255;
const MAX_PREFIX: usize = 16;
/// Characters of the longest text.
pub(crate) const MAX_TEXT: usize = MAX_PREFIX + 1 + (MAX_DATA * 8).div_ceil(5) + CHECKSUM;

/// Bytes of the addresses of keys: 32 characters, with no bit to spare.
const KEY_ADDRESS: usize = 20;

const fn values() -> [u8; 256] {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 32 {
        table[CHARSET[value as usize] as usize] = value;
        value += 1;
    }
    table
}

const fn feedback() -> [u32; 32] {
    let generator = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let mut table = [0; 32];
    let mut top = 0;
    while top < 32 {
        let mut bit = 0;
        while bit < 5 {
            if (top >> bit) & 1 == 1 {
                table[top] ^= generator[bit];
            }
            bit += 1;
        }
        top += 1;
    }
    table
}

fn step(checksum: u32, value: u8) -> u32 {
    ((checksum & 0x01ff_ffff) << 5) ^ u32::from(value) ^ FEEDBACK[(checksum >> 25) as usize]
}

/// The checksum's state after a prefix.
fn start(prefix: &str) -> u32 {
    let checksum = prefix.bytes().fold(1, |c, byte| step(c, byte >> 5));
    prefix.bytes().fold(step(checksum, 0), |c, byte| step(c, byte & 31))
}

/// Writes the text of at most 255 bytes under a lower-case prefix of at most 16 characters.
pub(crate) fn encode<'a>(buffer: &'a mut [u8; MAX_TEXT], prefix: &str, data: &[u8]) -> &'a str {
    let mut end = prefix.len();
    buffer[..end].copy_from_slice(prefix.as_bytes());
    buffer[end] = b'1';
    end += 1;
    let mut checksum = start(prefix);
    let mut put = |value: u8, end: &mut usize| {
        buffer[*end] = CHARSET[usize::from(value & 31)];
        *end += 1;
    };
    let (mut bits, mut held) = (0u32, 0u32);
    let mut group = |value: u8, end: &mut usize| {
        checksum = step(checksum, value);
        put(value, end);
    };
    for byte in data {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            group(low5(held >> bits), &mut end);
        }
        held &= 0x1f;
    }
    if bits > 0 {
        group(low5(held << (5 - bits)), &mut end);
    }
    let checksum = (0..CHECKSUM).fold(checksum, |c, _| step(c, 0)) ^ 1;
    for i in 0..CHECKSUM {
        put(low5(checksum >> (5 * (CHECKSUM - 1 - i))), &mut end);
    }
    std::str::from_utf8(&buffer[..end]).expect("prefix and charset are ASCII")
}

/// Reads the address of a key under a prefix. `None` for everything else, right or wrong.
pub(crate) fn decode_key_address(prefix: &str, text: &str) -> Option<[u8; KEY_ADDRESS]> {
    let data = text.as_bytes().strip_prefix(prefix.as_bytes())?.strip_prefix(b"1")?;
    if data.len() != KEY_ADDRESS * 8 / 5 + CHECKSUM {
        return None;
    }
    let mut checksum = start(prefix);
    let mut values = [0u8; KEY_ADDRESS * 8 / 5 + CHECKSUM];
    let mut all = 0;
    for (value, character) in values.iter_mut().zip(data) {
        *value = VALUES[usize::from(*character)];
        all |= *value;
        checksum = step(checksum, *value & 31);
    }
    if all > 31 || checksum != 1 {
        return None;
    }
    let mut address = [0; KEY_ADDRESS];
    // Eight characters are five bytes.
    for (bytes, values) in address.chunks_exact_mut(5).zip(values.chunks_exact(8)) {
        let word = values.iter().fold(0u64, |word, value| (word << 5) | u64::from(*value));
        bytes.copy_from_slice(&word.to_be_bytes()[3..]);
    }
    Some(address)
}

fn low5(value: u32) -> u8 {
    (value & 31) as u8
}

#[cfg(test)]
mod tests {
    use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
    use proptest::prelude::*;

    use super::*;

    fn by_the_crate(prefix: &str, data: &[u8]) -> String {
        bech32::encode::<Bech32>(Hrp::parse(prefix).unwrap(), data).unwrap()
    }

    proptest! {
        #[test]
        fn texts_are_those_of_the_crate(
            prefix in "[a-z]{1,16}",
            data in prop::collection::vec(any::<u8>(), 1..=255),
        ) {
            let mut buffer = [0; MAX_TEXT];
            prop_assert_eq!(encode(&mut buffer, &prefix, &data), by_the_crate(&prefix, &data));
        }

        /// What is read is what the crate reads; one wrong character, and it is not read.
        #[test]
        fn addresses_of_keys_are_read_as_the_crate_does(
            prefix in "[a-z]{1,16}",
            address in any::<[u8; 20]>(),
            at in any::<prop::sample::Index>(),
            wrong in any::<char>(),
        ) {
            let text = by_the_crate(&prefix, &address);
            prop_assert_eq!(decode_key_address(&prefix, &text), Some(address));
            let mut damaged: Vec<char> = text.chars().collect();
            let at = at.index(damaged.len());
            damaged[at] = wrong;
            let damaged: String = damaged.into_iter().collect();
            let by_crate = CheckedHrpstring::new::<Bech32>(&damaged)
                .ok()
                .filter(|checked| checked.hrp().as_str() == prefix && damaged == damaged.to_lowercase())
                .map(|checked| checked.byte_iter().collect::<Vec<_>>());
            prop_assert_eq!(decode_key_address(&prefix, &damaged).map(Vec::from), by_crate);
        }
    }
}
