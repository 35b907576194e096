//! The measured quantities and their units.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    CpuPerImage,
    CpuPerGib,
    MegabytesPerSecond,
    ImagesPerSecond,
    RequestsPerCpuSecond,
    RequestsPerSecond,
    HandshakesPerCpuSecond,
    HandshakesPerSecond,
    Median,
    P99,
    BytesPerConnection,
    BytesPerTransfer,
    DiskBytes,
    StartUp,
}

impl Quantity {
    /// The quantity's label in the table, with the unit it is shown in.
    pub fn label(self) -> &'static str {
        match self {
            Quantity::CpuPerImage => "CPU ms/image",
            Quantity::CpuPerGib => "CPU s/GiB",
            Quantity::MegabytesPerSecond => "wall MB/s",
            Quantity::ImagesPerSecond => "wall images/s",
            Quantity::RequestsPerCpuSecond => "requests/CPU s",
            Quantity::RequestsPerSecond => "wall requests/s",
            Quantity::HandshakesPerCpuSecond => "handshakes/CPU s",
            Quantity::HandshakesPerSecond => "wall handshakes/s",
            Quantity::Median => "p50 ms",
            Quantity::P99 => "p99 ms",
            Quantity::BytesPerConnection => "KB/connection",
            Quantity::BytesPerTransfer => "MiB/transfer",
            Quantity::DiskBytes => "MiB to disk",
            Quantity::StartUp => "start-up ms",
        }
    }

    /// Whether less is better.
    pub fn is_cost(self) -> bool {
        !matches!(
            self,
            Quantity::MegabytesPerSecond
                | Quantity::ImagesPerSecond
                | Quantity::RequestsPerCpuSecond
                | Quantity::RequestsPerSecond
                | Quantity::HandshakesPerCpuSecond
                | Quantity::HandshakesPerSecond
        )
    }

    /// Converts a measured value (bytes, seconds or a count) to the unit of the label.
    pub fn shown(self, value: f64) -> f64 {
        match self {
            Quantity::MegabytesPerSecond => value / 1e6,
            Quantity::CpuPerImage | Quantity::Median | Quantity::P99 | Quantity::StartUp => value * 1e3,
            Quantity::BytesPerConnection => value / 1e3,
            Quantity::BytesPerTransfer | Quantity::DiskBytes => value / (1024.0 * 1024.0),
            _ => value,
        }
    }
}
