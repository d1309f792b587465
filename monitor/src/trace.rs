// SPDX-License-Identifier: GPL-2.0

//! An instance of the kernel's tracing of our own, so that nobody else's is disturbed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::counters::Counters;
use crate::segment::{Kind, Line};
use crate::Result;

const TRACEFS: &str = "/sys/kernel/tracing";
/// The tracepoint, and what it was called in version 0.1.0, whose module may still be loaded.
const EVENTS: [&str; 2] = [
    "events/xt_tarpit/xt_tarpit_segment",
    "events/xt_tarpit/segment",
];
/// What instances are called, with the process's number behind.
const NAME: &str = "xt_tarpit-";
/// For each processor; some 5,000 segments, which are fetched twice a second.
const BUFFER_KB: &str = "512";
/// At one time no more than so many pieces of a page at most are read, whatever comes meanwhile.
const READS: u32 = 2000;

/// The segments that come, from when it is made until it is dropped.
#[derive(Debug)]
pub struct Trace {
    dir: PathBuf,
    event: &'static str,
    pipe: Option<File>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

impl Trace {
    /// Has the kernel write down each segment that tells of somebody who is held.
    ///
    /// # Errors
    ///
    /// There is no tracefs here, no such tracepoint, or no permission.
    pub fn start(counters: &Counters) -> Result<Self> {
        let instances = Path::new(TRACEFS).join("instances");
        match fs::metadata(&instances) {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!(
                    "no tracing in {TRACEFS}: mount -t tracefs tracefs {TRACEFS}"
                ))
            }
            Err(error) => return Err(said(&instances, &error)),
        }
        clean(&instances);
        let dir = instances.join(format!("{NAME}{}", process::id()));
        // One of our number that was killed left it; it is busy if it is not.
        let _ = fs::remove_dir(&dir);
        fs::create_dir(&dir).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => format!("{}: lockdown forbids tracing", dir.display()),
            _ => said(&dir, &error),
        })?;
        // From here on, what was made goes with it.
        let mut trace = Self {
            dir,
            event: EVENTS[0],
            pipe: None,
            rest: Vec::new(),
        };
        trace.event = EVENTS
            .into_iter()
            .find(|event| trace.dir.join(event).exists())
            .ok_or_else(|| {
                let event = trace.event;
                format!("{TRACEFS}/{event} is not there: the loaded xt_TARPIT is of another version, reload it")
            })?;
        trace.put("buffer_size_kb", BUFFER_KB)?;
        let event = trace.event;
        trace.put(&format!("{event}/filter"), &filter(counters))?;
        let path = trace.dir.join("trace_pipe");
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| said(&path, &error))?;
        trace.pipe = Some(pipe);
        trace.put(&format!("{event}/enable"), "1")?;
        Ok(trace)
    }

    fn put(&self, name: &str, value: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, value).map_err(|error| said(&path, &error))
    }

    /// What has come since it was asked last.
    ///
    /// # Errors
    ///
    /// The kernel does not write any more, since the module was unloaded.
    pub fn read(&mut self, mut each: impl FnMut(Line)) -> Result<()> {
        let path = self.dir.join(self.event).join("enable");
        if !fs::read_to_string(&path).is_ok_and(|text| text.starts_with('1')) {
            return Err("xt_TARPIT was unloaded".to_string());
        }
        let mut piece = [0; 8192];
        for _ in 0..READS {
            let read = self
                .pipe
                .as_mut()
                .map_or(Ok(0), |pipe| pipe.read(&mut piece));
            match read {
                Ok(0) => break,
                Ok(n) => lines(&mut self.rest, &piece[..n], &mut each),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(said(&self.dir.join("trace_pipe"), &error)),
            }
        }
        Ok(())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The instance is busy as long as its pipe is open.
        self.pipe = None;
        // Whoever starts next tries again.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Removes the instances of processes that were killed.
fn clean(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if process.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // One whose process is in another namespace is busy.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The kinds that are wanted, as the kernel numbers them: a flood of SYNs must not keep us busy.
fn filter(counters: &Counters) -> String {
    let wanted = |name: &String| Kind::ALL.iter().any(|kind| kind.name() == name);
    let numbers = (0..counters.names.len()).filter(|&n| wanted(&counters.names[n]));
    numbers
        .map(|n| format!("kind == {n}"))
        .collect::<Vec<_>>()
        .join(" || ")
}

fn lines(rest: &mut Vec<u8>, piece: &[u8], each: &mut impl FnMut(Line)) {
    rest.extend_from_slice(piece);
    let end = rest
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&rest[..end]).lines() {
        each(Line::parse(line));
    }
    rest.drain(..end);
}

fn said(path: &Path, error: &std::io::Error) -> String {
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
    fn the_kernel_is_asked_for_what_is_wanted() {
        let counters = Counters {
            names: ["syn", "established", "data", "truncated", "rst"]
                .map(String::from)
                .to_vec(),
            sums: std::collections::BTreeMap::new(),
        };
        assert_eq!(filter(&counters), "kind == 1 || kind == 2 || kind == 4");
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(cuts in prop::collection::vec(0..200_usize, 0..8)) {
            let text = "CPU:1 [LOST 1 EVENTS]\n\u{fffd}\nCPU:1 [LOST 22 EVENTS]\nCPU:1 [LOST 333 EVENTS]\nCPU:1 [LO";
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut rest, mut seen) = (Vec::new(), Vec::new());
            for ends in cuts.windows(2) {
                lines(&mut rest, &text.as_bytes()[ends[0]..ends[1]], &mut |line| seen.push(line));
            }
            prop_assert_eq!(seen, [Line::Lost(1), Line::Other, Line::Lost(22), Line::Lost(333)]);
        }
    }
}
