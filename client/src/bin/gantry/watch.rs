use std::{io::IsTerminal, process::ExitCode, time::Instant};

use anyhow::Result;
use console::{Term, truncate_str};
use gantry_client::{Chain, Change, JobView, ReplicaView, Snapshot, Target, Watcher, to_json, word};
use gantry_proto::gantry::job::v1::{AssignmentState, JobState, Reason};
use serde_json::{Value, json};

use crate::{context::Context, out};

/// Follow jobs until they have ended.
///
/// On a terminal the jobs are shown in place; elsewhere each change is a line that begins with the seconds since the
/// start, with `--output json` an object. Exit status: 0 if all jobs completed, 1 if not.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gantry watch --graph 1\n  gantry watch 3 4 | tee progress.txt")]
pub(crate) struct Args {
    /// All jobs of this graph.
    #[arg(long, value_name = "ID", required_unless_present = "jobs", conflicts_with = "jobs")]
    graph: Option<u64>,
    /// These jobs.
    #[arg(value_name = "JOB")]
    jobs: Vec<u64>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<ExitCode> {
    let target = args.graph.map_or(Target::Jobs(args.jobs), Target::Graph);
    follow(context, context.chain().await?, target).await
}

/// Shows jobs until they have ended.
pub(crate) async fn follow(context: &Context, chain: Chain, target: Target) -> Result<ExitCode> {
    let title = match &target {
        Target::Graph(id) => format!("graph {id}"),
        Target::Jobs(ids) => match ids.as_slice() {
            [id] => format!("job {id}"),
            many => format!("{} jobs", many.len()),
        },
    };
    let mut watcher = Watcher::new(chain, target);
    let mut view = View::new(context.json(), title);
    let mut away = false;
    loop {
        match watcher.next().await {
            Ok(snapshot) => {
                if std::mem::take(&mut away) {
                    view.note("the node is back")?;
                }
                let (done, completed) = (snapshot.done(), snapshot.completed());
                view.show(snapshot)?;
                if done {
                    return Ok(ExitCode::from(u8::from(!completed)));
                }
            }
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut away, true) {
                    view.note(&format!("{error}; waiting for it"))?;
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where progress is shown.
struct View {
    title: String,
    start: Instant,
    last: Option<Snapshot>,
    kind: Kind,
}

enum Kind {
    Screen(Screen),
    Lines,
    Json,
}

impl View {
    fn new(json: bool, title: String) -> Self {
        let kind = match (json, std::io::stdout().is_terminal()) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Screen(Screen { term: Term::stdout(), drawn: 0 }),
            (false, false) => Kind::Lines,
        };
        Self { title, start: Instant::now(), last: None, kind }
    }

    fn show(&mut self, snapshot: Snapshot) -> Result<()> {
        let changes = snapshot.changes_since(self.last.as_ref());
        match &mut self.kind {
            Kind::Screen(screen) => screen.draw(&self.title, &snapshot)?,
            Kind::Lines => {
                let seconds = self.start.elapsed().as_secs_f64();
                let header = format!("{seconds:7.1}s  {}", header(&self.title, &snapshot));
                if self.last.is_none() {
                    out::line(&header)?;
                }
                for change in &changes {
                    out::line(&format!("{seconds:7.1}s  {}", line(change)))?;
                }
                if snapshot.done() && self.last.is_some() {
                    out::line(&header)?;
                }
            }
            Kind::Json => {
                for change in &changes {
                    out::line(&object(change, &snapshot)?.to_string())?;
                }
            }
        }
        self.last = Some(snapshot);
        Ok(())
    }

    /// Something beside the progress, on stderr.
    fn note(&mut self, text: &str) -> Result<()> {
        if let Kind::Screen(screen) = &mut self.kind {
            screen.clear()?;
        }
        out::note(text);
        Ok(())
    }
}

/// The terminal: a line for each job, redrawn in place with one write.
struct Screen {
    term: Term,
    /// Lines of the last picture, which end above the cursor.
    drawn: usize,
}

impl Screen {
    fn draw(&mut self, title: &str, snapshot: &Snapshot) -> std::io::Result<()> {
        let (rows, columns) = self.term.size();
        let (rows, columns) = (usize::from(rows).saturating_sub(1), usize::from(columns).saturating_sub(1));
        let mut snapshot = snapshot.clone();
        if snapshot.jobs.len() >= rows {
            // Those at work stay in sight.
            snapshot.jobs.sort_by_key(|job| urgency(job.state));
        }
        let lines = fit(&picture(title, &snapshot, paint), rows, columns);
        let frame: String = lines.iter().map(|line| format!("\r\x1b[2K{line}\n")).collect();
        let up = self.up();
        self.drawn = lines.len();
        // What is left of a longer picture goes.
        out::bytes(format!("{up}{frame}\x1b[J").as_bytes())
    }

    /// Takes the picture away; the next one is drawn where the cursor is then.
    fn clear(&mut self) -> std::io::Result<()> {
        let up = self.up();
        self.drawn = 0;
        out::bytes(format!("{up}\r\x1b[J").as_bytes())
    }

    /// To the first line of the picture.
    fn up(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A", self.drawn) }
    }
}

/// As much of a picture as fits: the first line, then the others until the rows are used up, each cut to the width.
fn fit(lines: &[String], rows: usize, columns: usize) -> Vec<String> {
    let mut fitting: Vec<String> = lines.iter().map(|line| truncate_str(line, columns, "…").into_owned()).collect();
    if fitting.len() > rows {
        fitting.truncate(rows.saturating_sub(1));
        fitting.push(format!("… and {} more", lines.len() - fitting.len()));
    }
    fitting
}

/// How a word stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Title,
    Quiet,
    Busy,
    Good,
    Bad,
}

fn paint(text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Title => "1",
        Tone::Quiet => "2",
        Tone::Busy => "36",
        Tone::Good => "32",
        Tone::Bad => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The header and a line for each job.
fn picture(title: &str, snapshot: &Snapshot, paint: impl Fn(&str, Tone) -> String) -> Vec<String> {
    let name_width = snapshot.jobs.iter().map(|job| job.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![paint(&header(title, snapshot), Tone::Title)];
    lines.extend(snapshot.jobs.iter().map(|job| {
        let state = job_state(job.state);
        let end = if job.ended_ms > 0 { job.ended_ms } else { snapshot.now_ms };
        let elapsed = out::duration(end.saturating_sub(job.submitted_ms));
        format!(
            "{:<name_width$}  {}{:gap$}  {elapsed:>9}  {:>8}  {}",
            out::plain(&job.name),
            paint(&state, tone(job.state)),
            "",
            job.paid,
            detail(job, &paint),
            gap = 9usize.saturating_sub(state.len()),
        )
    }));
    lines
}

fn header(title: &str, snapshot: &Snapshot) -> String {
    let ended = snapshot.jobs.iter().filter(|job| gantry_client::is_terminal(job.state)).count();
    let label = if snapshot.label.is_empty() { String::new() } else { format!(" ({})", out::plain(&snapshot.label)) };
    let money = snapshot.money().into_iter().map(|(denom, (paid, open))| match open {
        0 => format!("{paid}{denom} paid"),
        _ => format!("{paid}{denom} paid, {open} at most still"),
    });
    format!(
        "{title}{label}: {ended} of {} jobs ended, height {}, {}, {}",
        snapshot.jobs.len(),
        snapshot.height,
        out::duration(snapshot.elapsed_ms()),
        money.collect::<Vec<_>>().join("; ")
    )
}

/// What there is to say of a job beside its state: its workers, or why it has none.
fn detail(job: &JobView, paint: impl Fn(&str, Tone) -> String) -> String {
    if let Some(end) = &job.end {
        return paint(&reason(end.reason()), Tone::Bad);
    }
    match job.state {
        JobState::Pending => return waits(job),
        JobState::Queued if job.replicas.iter().all(|r| r.attempt != job.attempt) => {
            return "waits for workers".to_owned();
        }
        _ => {}
    }
    let current = job.replicas.iter().filter(|r| r.attempt == job.attempt);
    let workers = current.map(|r| format!("{} {}", out::plain(&r.worker), paint(&replica(r), replica_tone(r.state))));
    let attempt = if job.attempt > 1 { format!("attempt {}: ", job.attempt) } else { String::new() };
    format!("{attempt}{}", workers.collect::<Vec<_>>().join(", "))
}

fn waits(job: &JobView) -> String {
    format!("waits for {} job{}", job.waits_for, if job.waits_for == 1 { "" } else { "s" })
}

/// A worker's state, and why if it is a bad one.
fn replica(replica: &ReplicaView) -> String {
    let state = assignment_state(replica.state);
    if replica.reason == Reason::Unspecified { state } else { format!("{state} ({})", reason(replica.reason)) }
}

fn tone(state: JobState) -> Tone {
    match state {
        JobState::Completed => Tone::Good,
        JobState::Failed | JobState::Cancelled | JobState::Expired => Tone::Bad,
        JobState::Active | JobState::Verifying => Tone::Busy,
        JobState::Pending | JobState::Queued | JobState::Unspecified => Tone::Quiet,
    }
}

/// Place in a picture that is cut.
fn urgency(state: JobState) -> u8 {
    match state {
        JobState::Active | JobState::Verifying => 0,
        JobState::Queued => 1,
        JobState::Pending | JobState::Unspecified => 2,
        JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired => 3,
    }
}

fn replica_tone(state: AssignmentState) -> Tone {
    match state {
        AssignmentState::Settled => Tone::Good,
        AssignmentState::Failed | AssignmentState::Lapsed => Tone::Bad,
        AssignmentState::Running => Tone::Busy,
        _ => Tone::Quiet,
    }
}

pub(crate) fn job_state(state: JobState) -> String {
    word(state.as_str_name(), "JOB_STATE_")
}

pub(crate) fn assignment_state(state: AssignmentState) -> String {
    word(state.as_str_name(), "ASSIGNMENT_STATE_")
}

pub(crate) fn reason(reason: Reason) -> String {
    word(reason.as_str_name(), "REASON_")
}

/// A change as a line.
fn line(change: &Change) -> String {
    match change {
        Change::Job { job, from } => {
            let mut text = format!("{} {}", out::plain(&job.name), job_state(job.state));
            if job.attempt > 1 {
                text.push_str(&format!(", attempt {}", job.attempt));
            }
            if let Some(end) = &job.end {
                text.push_str(&format!(": {}", reason(end.reason())));
            } else if from.is_none() && job.state == JobState::Pending {
                text.push_str(&format!(": {}", waits(job)));
            }
            if job.paid > 0 {
                text.push_str(&format!(", {}{} paid", job.paid, job.max_total.denom));
            }
            text
        }
        Change::Replica { name, replica: r, denom, .. } => {
            let mut text = format!("{} {} {}", out::plain(name), out::plain(&r.worker), replica(r));
            if r.paid > 0 {
                text.push_str(&format!(", paid {}{denom}", r.paid));
            }
            if r.slashed > 0 {
                text.push_str(&format!(", {} of its bond slashed", r.slashed));
            }
            text
        }
    }
}

/// A change as an object.
fn object(change: &Change, snapshot: &Snapshot) -> Result<Value> {
    let (height, time) = (snapshot.height.to_string(), snapshot.now_ms.to_string());
    Ok(match change {
        Change::Job { job, from } => json!({
            "kind": "job", "height": height, "market_time_ms": time, "job_id": job.id.to_string(), "name": job.name,
            "from": from.map(|s| s.as_str_name()), "to": job.state.as_str_name(), "attempt": job.attempt,
            "end": job.end.as_ref().map(to_json).transpose()?,
            "paid": { "denom": job.max_total.denom, "amount": job.paid.to_string() },
        }),
        Change::Replica { job, name, replica, from, denom } => json!({
            "kind": "assignment", "height": height, "market_time_ms": time, "job_id": job.to_string(), "name": name,
            "attempt": replica.attempt, "replica": replica.replica, "worker": replica.worker,
            "from": from.map(|s| s.as_str_name()), "to": replica.state.as_str_name(),
            "reason": replica.reason.as_str_name(),
            "paid": { "denom": denom, "amount": replica.paid.to_string() }, "slashed": replica.slashed.to_string(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
    use gantry_proto::gantry::job::v1::End;

    use super::*;

    fn part(worker: &str, state: AssignmentState) -> ReplicaView {
        ReplicaView {
            attempt: 1,
            replica: 0,
            worker: worker.into(),
            state,
            reason: Reason::Unspecified,
            paid: 0,
            slashed: 0,
        }
    }

    fn job(name: &str, state: JobState, replicas: Vec<ReplicaView>) -> JobView {
        JobView {
            id: 1,
            name: name.into(),
            state,
            end: None,
            attempt: 1,
            waits_for: 2,
            submitted_ms: 1_000,
            ended_ms: 0,
            max_total: Coin { denom: "ugantry".into(), amount: "3000".into() },
            paid: 0,
            replicas,
        }
    }

    fn snapshot() -> Snapshot {
        let wrong =
            ReplicaView { reason: Reason::WrongResult, slashed: 50, ..part("worker-3", AssignmentState::Failed) };
        let paid = ReplicaView { paid: 98, ..part("worker-1", AssignmentState::Settled) };
        let done = JobView { paid: 98, ended_ms: 9_300, ..job("tile-0", JobState::Completed, vec![paid, wrong]) };
        let end = Some(End { reason: Reason::ProgramFailed.into(), ..End::default() });
        let running = vec![part("worker-2", AssignmentState::Running), part("worker-4", AssignmentState::Acked)];
        Snapshot {
            height: 53,
            now_ms: 13_345,
            label: "path tracer".into(),
            jobs: vec![
                done,
                JobView { attempt: 1, ..job("tile-1", JobState::Active, running) },
                JobView { end, ended_ms: 12_000, ..job("tile-10", JobState::Failed, vec![]) },
                job("tile-2", JobState::Queued, vec![]),
                job("merge", JobState::Pending, vec![]),
            ],
        }
    }

    #[test]
    fn the_picture_has_a_header_and_a_line_for_each_job() {
        let expected = "\
graph 1 (path tracer): 2 of 5 jobs ended, height 53, 12.3 s, 98ugantry paid, 9000 at most still
tile-0   completed      8.3 s        98  worker-1 settled, worker-3 failed (wrong result)
tile-1   active        12.3 s         0  worker-2 running, worker-4 acked
tile-10  failed        11.0 s         0  program failed
tile-2   queued        12.3 s         0  waits for workers
merge    pending       12.3 s         0  waits for 2 jobs";
        let plain = picture("graph 1", &snapshot(), |text, _| text.to_owned());
        assert_eq!(plain.join("\n"), expected);
        // Colours change nothing but colours.
        let painted = picture("graph 1", &snapshot(), paint).join("\n");
        assert_eq!(console::strip_ansi_codes(&painted), expected);
    }

    #[test]
    fn a_picture_too_large_for_the_terminal_is_cut() {
        let lines: Vec<String> = (0..5).map(|n| paint(&format!("line {n}"), Tone::Good)).collect();
        assert_eq!(fit(&lines, 5, 10), lines);
        let cut: Vec<_> = fit(&lines, 3, 4).iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(cut, ["lin…", "lin…", "… and 3 more"]);
    }

    #[test]
    fn changes_read_as_lines() {
        let lines: Vec<String> = snapshot().changes_since(None).iter().map(line).collect();
        let expected = "\
tile-0 worker-1 settled, paid 98ugantry
tile-0 worker-3 failed (wrong result), 50 of its bond slashed
tile-0 completed, 98ugantry paid
tile-1 worker-2 running
tile-1 worker-4 acked
tile-1 active
tile-10 failed: program failed
tile-2 queued
merge pending: waits for 2 jobs";
        // Both workers have the same number here, so the second is as new as the first.
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn changes_are_objects_for_programs() {
        let snapshot = snapshot();
        let changes = snapshot.changes_since(None);
        let first = object(&changes[0], &snapshot).unwrap();
        assert_eq!(first["to"], "ASSIGNMENT_STATE_SETTLED");
        assert_eq!(first["paid"], json!({ "denom": "ugantry", "amount": "98" }));
        let failed = object(&changes[6], &snapshot).unwrap();
        assert_eq!((&failed["name"], &failed["end"]["reason"]), (&json!("tile-10"), &json!("REASON_PROGRAM_FAILED")));
    }
}
