//! Shows pictures of the demonstration: on a terminal, or as lines.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Stage;
use super::cluster::Members;
use super::ledger::Ledger;
use super::lines;
use super::news::News;
use super::options::{Options, Place};
use super::picture::Album;
use super::screen::{Frames, NEWS_MAX, Screen};
use crate::shutdown::Shutdown;

/// How often the screen is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What is shown, and where.
pub(super) struct View {
    place: Where,
    frames: Frames,
    scene: Scene,
    album: Album,
    /// How much of the news was written as lines.
    seen: usize,
}

/// What pictures are taken of.
pub(super) struct Scene {
    /// How far the demonstration is.
    pub(super) stage: watch::Receiver<Stage>,
    /// The sidecars.
    pub(super) members: Members,
    /// The notes of producer and application.
    pub(super) ledger: Arc<Ledger>,
    /// What happens.
    pub(super) news: News,
}

enum Where {
    Screen(Screen),
    Lines,
    /// The reader of the lines has gone.
    Nowhere,
}

impl View {
    /// Takes the terminal, if there is one.
    pub(super) fn open(options: &Options, broker: &str, scene: Scene) -> Self {
        let is_terminal = io::stdout().is_terminal()
            && std::env::var_os("TERM").is_some_and(|name| name != "dumb");
        let screen = is_terminal.then(Screen::take).and_then(Result::ok);
        Self {
            place: screen.map_or(Where::Lines, Where::Screen),
            frames: Frames {
                // It has several addresses on the same host; one is enough to say where it is.
                broker: broker.split(',').next().unwrap_or(broker).to_owned(),
                instructions: options.listen.as_ref().map(instructions),
                seconds: options.seconds,
            },
            scene,
            album: Album::default(),
            seen: 0,
        }
    }

    /// Shows how things stand for as long as it is polled, and takes keys.
    pub(super) async fn run(&mut self, asked: &Shutdown) -> io::Result<()> {
        if let (Where::Lines, Some(words)) = (&self.place, &self.frames.instructions) {
            self.place = lines_or_nowhere(lines::write_words(&mut io::stdout(), words), asked)?;
        }
        let every = match self.place {
            Where::Screen(_) => DRAW_EVERY,
            Where::Lines | Where::Nowhere => WRITE_EVERY,
        };
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            self.show(asked)?;
        }
    }

    fn show(&mut self, asked: &Shutdown) -> io::Result<()> {
        let scene = &self.scene;
        let picture = self.album.take(scene);
        match &mut self.place {
            Where::Screen(screen) => {
                for _ in 0..screen.asked_to_end()? {
                    asked.request("a key");
                }
                screen.draw(&self.frames, &picture, &scene.news.newest(NEWS_MAX))?;
            }
            Where::Lines => {
                let news = scene.news.since(&mut self.seen);
                let written = lines::write(&mut io::stdout(), &picture, &news);
                self.place = lines_or_nowhere(written, asked)?;
            }
            Where::Nowhere => {}
        }
        Ok(())
    }

    /// Gives the terminal back, or writes what happened at the very end.
    pub(super) fn close(mut self) -> io::Result<()> {
        match self.place {
            Where::Screen(_) | Where::Nowhere => Ok(()),
            Where::Lines => {
                let news = self.scene.news.since(&mut self.seen);
                lines::write_news(&mut io::stdout(), &news)
            }
        }
    }
}

/// A reader that has seen enough, such as `head`, asks for the end.
fn lines_or_nowhere(written: io::Result<()>, asked: &Shutdown) -> io::Result<Where> {
    match written {
        Ok(()) => Ok(Where::Lines),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            asked.request("nobody reads the output");
            Ok(Where::Nowhere)
        }
        Err(error) => Err(error),
    }
}

/// What to run beside the demonstration.
fn instructions(place: &Place) -> String {
    let target = place.target();
    format!(
        "The sidecar listens at {target}. In a checkout of ackline:\n\
         pip install grpcio-tools\n\
         python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. \
         proto/ackline/v1/consumer.proto\n\
         ACKLINE_TARGET={target} PYTHONPATH=. python examples/python/consumer.py"
    )
}
