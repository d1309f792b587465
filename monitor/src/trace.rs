// SPDX-License-Identifier: GPL-2.0

//! Reads the tracepoint through a tracing instance of its own, which leaves other tracing
//! undisturbed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::counters::Counters;
use crate::segment::{Line, SegmentClass};
use crate::Result;

const TRACEFS: &str = "/sys/kernel/tracing";
/// The tracepoint with its field of the segment class, and both in version 0.1.0, whose module may
/// still be loaded.
const EVENTS: [(&str, &str); 2] = [
    ("events/xt_tarpit/xt_tarpit_segment", "class"),
    ("events/xt_tarpit/segment", "kind"),
];
/// The name of an instance, before the PID of its process.
const INSTANCE_PREFIX: &str = "xt_tarpit-";
/// The buffer of each CPU, which takes some 5,000 segments. It is read twice a second.
const BUFFER_SIZE_KB: &str = "512";
/// The maximum number of reads, of up to one page each, per poll.
const MAX_READS_PER_POLL: u32 = 2000;

/// A running trace. Dropping it removes its tracing instance.
#[derive(Debug)]
pub struct Trace {
    dir: PathBuf,
    event: &'static str,
    pipe: Option<File>,
    /// The start of a line whose end has not been read yet.
    partial_line: Vec<u8>,
}

impl Trace {
    /// Starts to trace the segments of the classes in [`SegmentClass::ALL`].
    ///
    /// # Errors
    ///
    /// tracefs or the tracepoint does not exist, or the program may not use it.
    pub fn start(counters: &Counters) -> Result<Self> {
        let instances = Path::new(TRACEFS).join("instances");
        match fs::metadata(&instances) {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!(
                    "no tracefs in {TRACEFS}, run \"mount -t tracefs tracefs {TRACEFS}\""
                ))
            }
            Err(error) => return Err(io_error(&instances, &error)),
        }
        remove_stale_instances(&instances);
        let dir = instances.join(format!("{INSTANCE_PREFIX}{}", process::id()));
        // A killed process with the same PID may have left it. An instance in use cannot be
        // removed.
        let _ = fs::remove_dir(&dir);
        fs::create_dir(&dir).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => {
                format!("{}: kernel lockdown forbids tracing", dir.display())
            }
            _ => io_error(&dir, &error),
        })?;
        // From here on, `drop` removes the instance when an error is returned.
        let mut trace = Self {
            dir,
            event: EVENTS[0].0,
            pipe: None,
            partial_line: Vec::new(),
        };
        let (event, class_field) = EVENTS
            .into_iter()
            .find(|(event, _)| trace.dir.join(event).exists())
            .ok_or_else(|| {
                let event = trace.event;
                format!(
                    "{TRACEFS}/{event} does not exist: \
                     the loaded xt_TARPIT has another version, reload it"
                )
            })?;
        trace.write("buffer_size_kb", BUFFER_SIZE_KB)?;
        trace.event = event;
        trace.write(&format!("{event}/filter"), &filter(class_field, counters))?;
        let path = trace.dir.join("trace_pipe");
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| io_error(&path, &error))?;
        trace.pipe = Some(pipe);
        trace.write(&format!("{event}/enable"), "1")?;
        Ok(trace)
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, value).map_err(|error| io_error(&path, &error))
    }

    /// Calls `on_line` for each line that the kernel has written since the last call.
    ///
    /// # Errors
    ///
    /// The module was unloaded, which ends the trace, or trace_pipe cannot be read.
    pub fn read(&mut self, mut on_line: impl FnMut(Line)) -> Result<()> {
        let path = self.dir.join(self.event).join("enable");
        if !fs::read_to_string(&path).is_ok_and(|text| text.starts_with('1')) {
            return Err("xt_TARPIT was unloaded".to_string());
        }
        let mut chunk = [0; 8192];
        for _ in 0..MAX_READS_PER_POLL {
            let read = self
                .pipe
                .as_mut()
                .map_or(Ok(0), |pipe| pipe.read(&mut chunk));
            match read {
                Ok(0) => break,
                Ok(n) => parse_lines(&mut self.partial_line, &chunk[..n], &mut on_line),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(io_error(&self.dir.join("trace_pipe"), &error)),
            }
        }
        Ok(())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The instance cannot be removed while its pipe is open.
        self.pipe = None;
        // After an error, the next program that starts removes it.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Removes the instances of processes that were killed.
fn remove_stale_instances(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(INSTANCE_PREFIX));
        if process.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // The process may be in another PID namespace. Then the instance is in use and stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Returns the filter for the classes in [`SegmentClass::ALL`] by the field `class_field`. The
/// kernel discards other events, so a flood of SYNs costs the program nothing.
fn filter(class_field: &str, counters: &Counters) -> String {
    let is_traced = |name: &String| SegmentClass::ALL.iter().any(|class| class.name() == name);
    let numbers = (0..counters.names.len()).filter(|&n| is_traced(&counters.names[n]));
    numbers
        .map(|n| format!("{class_field} == {n}"))
        .collect::<Vec<_>>()
        .join(" || ")
}

/// Calls `on_line` for each line that `chunk` completes, and keeps its last, incomplete line.
fn parse_lines(partial_line: &mut Vec<u8>, chunk: &[u8], on_line: &mut impl FnMut(Line)) {
    partial_line.extend_from_slice(chunk);
    let end = partial_line
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&partial_line[..end]).lines() {
        on_line(Line::parse(line));
    }
    partial_line.drain(..end);
}

/// Returns the message for an error at `path`.
fn io_error(path: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => " (this needs root)",
        _ => "",
    };
    format!("{}: {error}{hint}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_event_is_that_of_the_module() {
        let module = include_str!("../../xt_TARPIT_trace.h");
        let name = |before: &str, after| {
            let (_, rest) = module.split_once(before).unwrap();
            rest.split(after).next().unwrap()
        };
        let (system, event) = (
            name("#define TRACE_SYSTEM ", '\n'),
            name("TRACE_EVENT(", ','),
        );
        assert_eq!(EVENTS[0].0, format!("events/{system}/{event}"));
    }

    #[test]
    fn filter_selects_connection_classes() {
        let counters = Counters {
            names: ["syn", "established", "data", "truncated", "rst"]
                .map(String::from)
                .to_vec(),
            sums: std::collections::BTreeMap::new(),
        };
        let expected = "class == 1 || class == 2 || class == 4";
        assert_eq!(filter("class", &counters), expected);
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_change_lines(cuts in prop::collection::vec(0..200_usize, 0..8)) {
            let text = "CPU:1 [LOST 1 EVENTS]\n\u{fffd}\nCPU:1 [LOST 22 EVENTS]\nCPU:1 [LOST 333 EVENTS]\nCPU:1 [LO";
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut partial_line, mut seen) = (Vec::new(), Vec::new());
            for ends in cuts.windows(2) {
                let chunk = &text.as_bytes()[ends[0]..ends[1]];
                parse_lines(&mut partial_line, chunk, &mut |line| seen.push(line));
            }
            prop_assert_eq!(seen, [Line::Lost(1), Line::Other, Line::Lost(22), Line::Lost(333)]);
        }
    }
}
