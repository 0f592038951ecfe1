//! What the system knows of this process, by the names that all programs use (`process_…`).
//!
//! From /proc on Linux, read at each scrape; elsewhere there is nothing of it. Not here: this program's
//! own metrics (`meters`). Runs on the thread that is asked.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

/// Tells the metrics of this process.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    #[cfg(target_os = "linux")]
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        use prometheus_client::encoding::EncodeMetric;
        use prometheus_client::metrics::counter::ConstCounter;
        use prometheus_client::metrics::gauge::ConstGauge;

        let Some(read) = linux::read() else { return Ok(()) };
        let cpu = ConstCounter::new(read.cpu_seconds);
        let help = "User and system time of all threads.";
        let about = encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type());
        cpu.encode(about?)?;
        for (name, help, value) in read.gauges {
            let gauge = ConstGauge::new(value);
            let about = encoder.encode_descriptor(name, help, None, gauge.metric_type());
            gauge.encode(about?)?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn encode(&self, _: DescriptorEncoder) -> Result<(), fmt::Error> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    /// What /proc says.
    pub struct Reading {
        pub cpu_seconds: f64,
        /// Name, help and value.
        pub gauges: Vec<(&'static str, &'static str, f64)>,
    }

    /// `None`: /proc is not there, or says something else.
    pub fn read() -> Option<Reading> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program is in parentheses, and may itself have some (proc_pid_stat(5)).
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        // Field 3 of the manual is the first one here.
        let field = |number: usize| fields.get(number - 3)?.trim().parse::<f64>().ok();
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot =
            boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count();
        let (most, _) = rlimit::Resource::NOFILE.get().ok()?;
        let resident = field(24)? * rustix::param::page_size() as f64;
        Some(Reading {
            cpu_seconds: (field(14)? + field(15)?) * tick,
            gauges: vec![
                ("process_resident_memory_bytes", "Memory that is really there.", resident),
                ("process_virtual_memory_bytes", "Memory by address.", field(23)?),
                ("process_threads", "Threads.", field(20)?),
                ("process_open_fds", "Open descriptors.", open as f64),
                ("process_max_fds", "The most that it may open.", most as f64),
                (
                    "process_start_time_seconds",
                    "When it was started, in seconds since 1970.",
                    boot + field(22)? * tick,
                ),
            ],
        })
    }
}
