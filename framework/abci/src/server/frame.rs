//! The framing of the ABCI socket protocol: an unsigned varint length, then that many bytes of protobuf.

use std::io::{self, BufRead, Read, Write};

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

/// Largest request read: CometBFT's own limit on its side of the socket (`types.maxMsgSize`).
pub const MAX_MESSAGE_BYTES: u64 = 104_857_600;

/// Reads one message; `None` when the peer closed the connection between two messages.
///
/// # Errors
/// `InvalidData` for a length over [`MAX_MESSAGE_BYTES`], a length that is not a varint, or bytes that are not the
/// message; `UnexpectedEof` when the peer closed within a message.
pub(super) fn read<M: Message + Default>(reader: &mut impl BufRead) -> io::Result<Option<M>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let length = read_varint(reader)?;
    if length > MAX_MESSAGE_BYTES {
        return Err(invalid(format!("a message of {length} bytes is over the limit of {MAX_MESSAGE_BYTES}")));
    }
    // Grows with what arrives, not with what the length claims.
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(bytes::Bytes::from(bytes)).map(Some).map_err(|error| invalid(error.to_string()))
}

/// Whether these bytes start with a message that is all there.
pub(super) fn is_whole(mut bytes: &[u8]) -> bool {
    read_varint(&mut bytes).is_ok_and(|length| bytes.len() as u64 >= length)
}

/// Writes one message, without flushing.
pub(super) fn write(writer: &mut impl Write, message: &impl Message) -> io::Result<()> {
    writer.write_all(&message.encode_length_delimited_to_vec())
}

/// Writes a message of one encoded field.
pub(super) fn write_field(writer: &mut impl Write, tag: u32, bytes: &[u8]) -> io::Result<()> {
    let mut head = Vec::with_capacity(24);
    encode_key(tag, WireType::LengthDelimited, &mut head);
    encode_varint(bytes.len() as u64, &mut head);
    let mut frame = Vec::with_capacity(10);
    encode_varint((head.len() + bytes.len()) as u64, &mut frame);
    frame.append(&mut head);
    writer.write_all(&frame)?;
    writer.write_all(bytes)
}

fn read_varint(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        let [byte] = byte;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            break;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(invalid("the length of a message does not fit 64 bits".into()))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendermint_proto::v0_38::abci::{
        Request, RequestEcho, Response, ResponseFinalizeBlock, request::Value, response,
    };

    fn echo(text: &str) -> Request {
        Request { value: Some(Value::Echo(RequestEcho { message: text.into() })) }
    }

    #[test]
    fn messages_come_back_as_written_and_the_end_is_clean() {
        let mut wire = Vec::new();
        write(&mut wire, &echo("a")).unwrap();
        write(&mut wire, &echo(&"b".repeat(300))).unwrap();
        let mut reader = wire.as_slice();
        assert!((0..wire.len()).all(|end| is_whole(&wire[..end]) == (end >= 6)), "the first is six bytes long");
        assert_eq!(read::<Request>(&mut reader).unwrap(), Some(echo("a")));
        assert_eq!(read::<Request>(&mut reader).unwrap(), Some(echo(&"b".repeat(300))));
        assert_eq!(read::<Request>(&mut reader).unwrap(), None);
    }

    #[test]
    fn an_encoded_answer_is_the_answer() {
        let answer = ResponseFinalizeBlock { app_hash: vec![7; 300].into(), ..ResponseFinalizeBlock::default() };
        let (mut encoded, mut whole) = (Vec::new(), Vec::new());
        write_field(&mut encoded, crate::server::FINALIZE_BLOCK, &answer.encode_to_vec()).unwrap();
        write(&mut whole, &Response { value: Some(response::Value::FinalizeBlock(answer)) }).unwrap();
        assert_eq!(encoded, whole);
    }

    #[test]
    fn bad_frames_are_errors_not_allocations() {
        // A length of 2^40 with nothing behind it.
        let error = read::<Request>(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0x20].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // A varint without end.
        let error = read::<Request>(&mut [0xff; 11].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // The peer goes away within a message.
        let error = read::<Request>(&mut [5, 1, 2].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        // Bytes that are not a request.
        let error = read::<Request>(&mut [2, 0xff, 0xff].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
