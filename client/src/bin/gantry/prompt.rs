//! Questions to whoever runs the command: on the terminal, or, where stdin is none, answered by its lines.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};

use gantry_keyring::Ask;
use zeroize::Zeroizing;

/// The passphrase of the keyring; a new one twice.
pub(crate) fn keyring_passphrase(what: Ask) -> io::Result<Zeroizing<String>> {
    let passphrase = secret("Keyring passphrase:")?;
    if what == Ask::New && *secret("The same again:")? != *passphrase {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the passphrases differ"));
    }
    Ok(passphrase)
}

/// A line that is not shown while it is typed.
pub(crate) fn secret(prompt: &str) -> io::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{prompt} ")).map(Zeroizing::new);
    }
    line(prompt)
}

/// Yes or no; no by default.
pub(crate) fn confirm(question: &str) -> io::Result<bool> {
    let answer = line(&format!("{question} [y/N]:"))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn line(prompt: &str) -> io::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        eprint!("{prompt} ");
        io::stderr().flush()?;
    }
    let mut text = Zeroizing::new(String::new());
    if io::stdin().lock().read_line(&mut text)? == 0 {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("no answer to {prompt:?} on stdin")));
    }
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}
