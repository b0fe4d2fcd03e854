//! What a node says to a transaction, and what it means for the sender's stream.

use serde::Deserialize;

/// What becomes of a transaction that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The node has it.
    Taken,
    /// It must be posted again, a little later.
    Again,
    /// The account is at this sequence: the stream goes on there.
    Sequence(u64),
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow)]
    result: Option<Checked<'a>>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Checked<'a> {
    code: u32,
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
}

/// The SDK's code for a signature over another sequence than the account's.
const WRONG_SEQUENCE: u32 = 32;

/// Reads the answer to a post of `count` transactions.
///
/// # Errors
/// The node's words when it refuses a transaction for good.
pub(super) fn read(body: &[u8], count: usize) -> Result<Vec<Verdict>, String> {
    let said = || String::from_utf8_lossy(body).into_owned();
    let answers: Vec<One<'_>> = match body.first() {
        Some(b'[') => serde_json::from_slice(body).map_err(|_| said())?,
        // A post of one is answered without a list, as is one that could not be read at all.
        _ => vec![serde_json::from_slice(body).map_err(|_| said())?],
    };
    let mut verdicts = answers.iter().map(One::verdict).collect::<Result<Vec<_>, _>>()?;
    // What is not answered may not have been met.
    verdicts.resize(count, Verdict::Again);
    Ok(verdicts)
}

impl One<'_> {
    fn verdict(&self) -> Result<Verdict, String> {
        match self {
            Self { result: Some(checked), .. } if checked.code == 0 => Ok(Verdict::Taken),
            Self { result: Some(checked), .. } if checked.code == WRONG_SEQUENCE => {
                expected(&checked.log).map(Verdict::Sequence).ok_or_else(|| checked.log.to_string())
            }
            Self { result: Some(checked), .. } => Err(format!("code {}: {}", checked.code, checked.log)),
            Self { error, .. } => {
                let error = error.as_ref().map(ToString::to_string).unwrap_or_default();
                match error {
                    error if error.contains("tx already exists in cache") => Ok(Verdict::Taken),
                    error if error.contains("mempool is full") => Ok(Verdict::Again),
                    error => Err(error),
                }
            }
        }
    }
}

/// The sequence in "account sequence mismatch, expected 5, got 7".
fn expected(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("expected ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"code":0,"data":"","log":"","codespace":"","hash":"AB"}}"#;
    const FULL: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error","data":"mempool is full: number of txs 50000"}}"#;
    const KNOWN: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error","data":"tx already exists in cache"}}"#;

    fn refused(code: u32, log: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"code":{code},"data":"","log":"{log}","codespace":"sdk","hash":"AB"}}}}"#
        )
    }

    #[test]
    fn all_are_taken_also_those_the_node_has_met() {
        assert_eq!(read(format!("[{TAKEN},{KNOWN}]").as_bytes(), 2), Ok(vec![Verdict::Taken; 2]));
        assert_eq!(read(TAKEN.as_bytes(), 1), Ok(vec![Verdict::Taken]));
    }

    #[test]
    fn what_a_full_mempool_refuses_or_nobody_answers_is_posted_again() {
        let full = read(format!("[{TAKEN},{FULL},{TAKEN}]").as_bytes(), 3);
        assert_eq!(full, Ok(vec![Verdict::Taken, Verdict::Again, Verdict::Taken]));
        let short = read(format!("[{TAKEN}]").as_bytes(), 3);
        assert_eq!(short, Ok(vec![Verdict::Taken, Verdict::Again, Verdict::Again]));
    }

    #[test]
    fn a_wrong_sequence_says_where_to_go_on() {
        let log = "account sequence mismatch, expected 17, got 20: incorrect account sequence";
        assert_eq!(read(format!("[{}]", refused(32, log)).as_bytes(), 1), Ok(vec![Verdict::Sequence(17)]));
    }

    #[test]
    fn other_refusals_are_final() {
        let error = read(format!("[{}]", refused(5, "insufficient funds")).as_bytes(), 1).unwrap_err();
        assert_eq!(error, "code 5: insufficient funds");
        assert!(read(b"<html>", 1).is_err());
    }
}
