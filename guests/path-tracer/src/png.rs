//! A PNG writer (ISO/IEC 15948): 8-bit RGB, adaptive row filters, one deflate block with the fixed Huffman codes of
//! RFC 1951 and a greedy LZ77 with hash chains. Small, and the same bytes everywhere.

/// Encodes `rgb` (rows from the top, 3 bytes a pixel) as a PNG file.
pub fn encode(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    let mut out = vec![0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&(width as u32).to_be_bytes());
    header.extend_from_slice(&(height as u32).to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &zlib(&filter_rows(width * 3, rgb)));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend_from_slice(kind);
    out.extend_from_slice(data);
    let sum = crc32(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// Prefixes each row with the filter whose residues have the smallest sum, as the PNG specification suggests.
fn filter_rows(stride: usize, rgb: &[u8]) -> Vec<u8> {
    let zero = vec![0; stride];
    let mut out = Vec::with_capacity(rgb.len() + rgb.len() / stride);
    for (y, row) in rgb.chunks_exact(stride).enumerate() {
        let up = if y == 0 { &zero[..] } else { &rgb[(y - 1) * stride..y * stride] };
        let mut best: (u64, u8, Vec<u8>) = (u64::MAX, 0, Vec::new());
        for kind in 0..5u8 {
            let residues: Vec<u8> = (0..stride)
                .map(|i| {
                    let a = if i >= 3 { row[i - 3] } else { 0 };
                    let c = if i >= 3 { up[i - 3] } else { 0 };
                    row[i].wrapping_sub(predict(kind, a, up[i], c))
                })
                .collect();
            let cost = residues.iter().map(|&r| u64::from(r.min(r.wrapping_neg()))).sum();
            if cost < best.0 {
                best = (cost, kind, residues);
            }
        }
        out.push(best.1);
        out.extend_from_slice(&best.2);
    }
    out
}

fn predict(kind: u8, a: u8, b: u8, c: u8) -> u8 {
    match kind {
        0 => 0,
        1 => a,
        2 => b,
        3 => ((u16::from(a) + u16::from(b)) / 2) as u8,
        _ => {
            let p = i16::from(a) + i16::from(b) - i16::from(c);
            let (pa, pb, pc) = ((p - i16::from(a)).abs(), (p - i16::from(b)).abs(), (p - i16::from(c)).abs());
            if pa <= pb && pa <= pc {
                a
            } else if pb <= pc {
                b
            } else {
                c
            }
        }
    }
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x9c];
    out.extend_from_slice(&deflate(data));
    out.extend_from_slice(&adler32(data).to_be_bytes());
    out
}

struct Bits {
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.held |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes go most significant bit first.
    fn code(&mut self, value: u32, count: u32) {
        self.put(value.reverse_bits() >> (32 - count), count);
    }

    fn literal(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }
}

const MIN_MATCH: usize = 4;
const MAX_MATCH: usize = 258;
const WINDOW: usize = 32768;
const CHAIN: usize = 32;

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits { out: Vec::new(), held: 0, count: 0 };
    bits.put(1, 1);
    bits.put(1, 2);
    let mut head = vec![usize::MAX; 1 << 15];
    let mut prev = vec![usize::MAX; data.len()];
    let hash = |i: usize| {
        let word = u32::from_le_bytes([data[i], data[i + 1], data[i + 2], data[i + 3]]);
        (word.wrapping_mul(0x9e3779b1) >> 17) as usize
    };
    let mut i = 0;
    while i < data.len() {
        let (mut length, mut distance) = (0, 0);
        if i + MIN_MATCH <= data.len() {
            let limit = MAX_MATCH.min(data.len() - i);
            let mut at = head[hash(i)];
            for _ in 0..CHAIN {
                if at == usize::MAX || i - at > WINDOW {
                    break;
                }
                let same = (0..limit).take_while(|&k| data[at + k] == data[i + k]).count();
                if same > length {
                    length = same;
                    distance = i - at;
                }
                at = prev[at];
            }
        }
        let step = if length >= MIN_MATCH {
            put_match(&mut bits, length as u32, distance as u32);
            length
        } else {
            bits.literal(u32::from(data[i]));
            1
        };
        let end = i + step;
        while i < end {
            if i + MIN_MATCH <= data.len() {
                let slot = hash(i);
                prev[i] = head[slot];
                head[slot] = i;
            }
            i += 1;
        }
    }
    bits.literal(256);
    bits.put(0, 7);
    bits.out
}

fn put_match(bits: &mut Bits, length: u32, distance: u32) {
    // RFC 1951, 3.2.5: codes come in groups of four (lengths) or two (distances) that double in width.
    if length == 258 {
        bits.literal(285);
    } else {
        let n = length - 3;
        let extra = if n < 8 { 0 } else { 29 - n.leading_zeros() };
        bits.literal(257 + extra * 4 + (n >> extra));
        bits.put(n & ((1 << extra) - 1), extra);
    }
    let n = distance - 1;
    let extra = if n < 4 { 0 } else { 30 - n.leading_zeros() };
    bits.code(extra * 2 + (n >> extra), 5);
    bits.put(n & ((1 << extra) - 1), extra);
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0xedb88320 & (c & 1).wrapping_neg()))
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_their_published_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf43926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e60398);
    }

    /// A decoder of fixed-Huffman blocks, written from RFC 1951 alone.
    fn inflate(data: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut bit = || {
            let b = u32::from(data[at / 8] >> (at % 8) & 1);
            at += 1;
            b
        };
        assert_eq!((bit(), bit(), bit()), (1, 1, 0));
        let lengths = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227, 258,
        ];
        let length_bits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
        let distances = [
            1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
            4097, 6145, 8193, 12289, 16385, 24577,
        ];
        let mut out: Vec<u8> = Vec::new();
        loop {
            let mut code = (0..7).fold(0, |c, _| c << 1 | bit());
            let symbol = if code < 24 {
                256 + code
            } else {
                code = code << 1 | bit();
                if (0x30..0xc0).contains(&code) {
                    code - 0x30
                } else if (0xc0..0xc8).contains(&code) {
                    280 + code - 0xc0
                } else {
                    144 + (code << 1 | bit()) - 0x190
                }
            };
            match symbol {
                0..=255 => out.push(symbol as u8),
                256 => return out,
                _ => {
                    let i = symbol as usize - 257;
                    let extra = (0..length_bits[i]).fold(0, |e, k| e | bit() << k);
                    let length = lengths[i] + extra as usize;
                    let d = (0..5).fold(0, |c, _| c << 1 | bit()) as usize;
                    let extra = (0..d.saturating_sub(2) / 2).fold(0, |e, k| e | bit() << k);
                    let distance = distances[d] + extra as usize;
                    for _ in 0..length {
                        out.push(out[out.len() - distance]);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_deflated_inflates_to_the_same_bytes() {
        let mut noise = Vec::new();
        let mut rng = 7u32;
        for i in 0..90_000u32 {
            rng = rng.wrapping_mul(1664525).wrapping_add(1013904223);
            noise.push(if i % 7000 < 4000 { (i / 300) as u8 } else { (rng >> 24) as u8 });
        }
        let again = [&noise[..], &noise[..40_000]].concat();
        for data in [&b""[..], b"a", b"abcabcabcabcabcabc", &[0; 5000], &noise, &again] {
            assert_eq!(inflate(&deflate(data)), data);
        }
    }
}
