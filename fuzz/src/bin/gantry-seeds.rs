//! Writes the seeds into the corpora.

fn main() -> std::io::Result<()> {
    let count = gantry_fuzz::seeds::write()?;
    println!("{count} seeds");
    Ok(())
}
