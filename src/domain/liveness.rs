//! Whether the scheduler of a client is there: it polls its jobs again and again.

/// What was seen of a client since it was last written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// The project of its polls.
    pub project_id: String,
    /// Its name.
    pub client_id: String,
    /// The first of its polls, in seconds since 1970.
    pub first_poll_at: Option<i64>,
    /// The last one.
    pub last_poll_at: Option<i64>,
    /// How many polls.
    pub polls: i64,
    /// From how many addresses they came.
    pub addresses: i64,
    /// How often it was registered again: a scheduler does so when it starts.
    pub restarts: i64,
    /// The operating system that its agent named with a backup.
    pub os: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
}

impl Sighting {
    /// One of a client.
    pub fn of(project_id: &str, client_id: &str) -> Sighting {
        Sighting {
            project_id: project_id.to_owned(),
            client_id: client_id.to_owned(),
            ..Sighting::default()
        }
    }

    /// Adds a poll.
    pub fn add_poll(&mut self, at: i64) {
        self.first_poll_at = Some(self.first_poll_at.map_or(at, |first| first.min(at)));
        self.last_poll_at = Some(self.last_poll_at.map_or(at, |last| last.max(at)));
        self.polls += 1;
    }

    /// Adds what was seen of the same client.
    pub fn add(&mut self, other: Sighting) {
        let times = [self.first_poll_at, other.first_poll_at];
        self.first_poll_at = times.into_iter().flatten().min();
        self.last_poll_at = self.last_poll_at.max(other.last_poll_at);
        self.polls += other.polls;
        self.addresses = self.addresses.max(other.addresses);
        self.restarts += other.restarts;
        self.os = other.os.or(self.os.take());
        self.agent_version = other.agent_version.or(self.agent_version.take());
    }

    /// The seconds between two of these polls; `None` where there are not two at different times.
    pub fn interval(&self) -> Option<i64> {
        let span = self.last_poll_at?.checked_sub(self.first_poll_at?)?;
        (self.polls > 1 && span > 0).then(|| (span / (self.polls - 1)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(times: &[i64]) -> Sighting {
        let mut seen = Sighting::of("p", "c");
        times.iter().for_each(|at| seen.add_poll(*at));
        seen
    }

    #[test]
    fn an_interval_needs_two_polls() {
        assert_eq!(polled(&[]).interval(), None);
        assert_eq!(polled(&[100]).interval(), None);
        assert_eq!(polled(&[100, 100]).interval(), None);
        assert_eq!(polled(&[100, 160, 220]).interval(), Some(60));
        // Two schedulers of one name.
        assert_eq!(polled(&[100, 101, 102, 102]).interval(), Some(1));
    }

    #[test]
    fn what_could_not_be_written_is_added_to_what_came_after() {
        let mut later = polled(&[220, 280]);
        later.add(Sighting {
            restarts: 1,
            os: Some("linux".to_owned()),
            addresses: 2,
            ..polled(&[100, 160])
        });
        assert_eq!(
            (later.first_poll_at, later.last_poll_at),
            (Some(100), Some(280))
        );
        assert_eq!((later.polls, later.addresses, later.restarts), (4, 2, 1));
        assert_eq!(later.interval(), Some(60));
        assert_eq!(later.os.as_deref(), Some("linux"));
    }
}
