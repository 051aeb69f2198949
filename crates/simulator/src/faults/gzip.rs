//! gzip without compressing: RFC 1952 around the stored blocks of RFC 1951.

/// Returns the bytes as a gzip file.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Magic, deflate, no flags, no time, no hints, of an unknown system.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    // A block's length has two bytes, and then its complement.
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    if blocks.peek().is_none() {
        file.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let is_last = blocks.peek().is_none();
        let length = block.len() as u16;
        file.push(u8::from(is_last));
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    file.extend_from_slice(&crc32(bytes).to_le_bytes());
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file
}

/// The checksum of gzip: CRC-32 with the reflected polynomial.
fn crc32(bytes: &[u8]) -> u32 {
    let remainder = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    });
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_checks_with() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_bytes_take_several_blocks() {
        // 10 bytes before, 5 for each block, 8 after.
        for (length, blocks) in [(0, 1), (1, 1), (65_535, 1), (65_536, 2), (200_000, 4)] {
            let file = gzip(&vec![b'x'; length]);
            assert_eq!(file.len(), 10 + 5 * blocks + length + 8, "{length}");
        }
    }
}
