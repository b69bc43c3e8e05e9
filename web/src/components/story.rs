//! The idea as a short animation on the dial: teacher, student, and the sizes between them.

use std::time::Duration;

use leptos::prelude::*;

use crate::state::dial::Dial;

/// The position of the dial, for how long, and the caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scene {
    stop: usize,
    millis: u64,
    words: &'static str,
}

const TEACHER: &str = "The teacher: the full model.";
const STUDENT: &str = "The student: fewer layers, trained once to imitate the teacher.";
const PATCHED: &str = "Teacher layers return, one block after the other. Nothing is trained.";
const BACK: &str = "Back at the teacher: every size in between is a working model.";

/// Less than five seconds in total: longer animations need a control to stop them (WCAG 2.2.2).
fn scenes(last_stop: usize) -> Vec<Scene> {
    let scene = |stop, millis, words| Scene { stop, millis, words };
    let mut scenes = vec![scene(last_stop, 1100, TEACHER), scene(0, 1300, STUDENT)];
    let between = last_stop.saturating_sub(1);
    let millis = 1800 / between.max(1) as u64;
    scenes.extend((1..last_stop).map(|stop| scene(stop, millis, PATCHED)));
    scenes.push(scene(last_stop, 600, BACK));
    scenes
}

/// Plays once automatically, unless the user prefers reduced motion, opened a link, or interacts.
#[component]
pub fn Story(
    dial: Dial,
    /// The position of the dial afterwards.
    rest: usize,
    autoplays: bool,
) -> impl IntoView {
    let words = RwSignal::new("");
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let is_playing = RwSignal::new(false);
    let last_stop = dial.family.with_value(|family| family.last_stop());
    let end = move || {
        if let Some(timer) = timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
        is_playing.set(false);
    };
    let play = move || {
        end();
        is_playing.set(true);
        show(scenes(last_stop), 0, dial, words, timer, is_playing, rest);
    };
    if autoplays && !prefers_reduced_motion() {
        Effect::new(move |was_started: Option<()>| {
            if was_started.is_none() {
                play();
            }
        });
    }
    // Any interaction ends the animation.
    let stop_on_touch = window_event_listener(leptos::ev::pointerdown, move |_| end());
    let stop_on_key = window_event_listener(leptos::ev::keydown, move |_| end());
    on_cleanup(move || {
        stop_on_touch.remove();
        stop_on_key.remove();
        end();
    });
    view! {
        <p class="story" aria-hidden="true">
            <span class="story-words">{move || words.get()}</span>
        </p>
        <button
            type="button"
            class="link story-play"
            // On "click", which follows the "pointerdown" that ends the animation.
            on:click=move |_| play()
        >
            {move || if is_playing.get() { "Playing …" } else { "Show the idea" }}
        </button>
    }
}

fn show(
    scenes: Vec<Scene>,
    at: usize,
    dial: Dial,
    words: RwSignal<&'static str>,
    timer: StoredValue<Option<TimeoutHandle>>,
    is_playing: RwSignal<bool>,
    rest: usize,
) {
    let Some(scene) = scenes.get(at).copied() else {
        is_playing.set(false);
        dial.turn_to(rest);
        return;
    };
    dial.turn_to(scene.stop);
    words.set(scene.words);
    let next = move || show(scenes, at + 1, dial, words, timer, is_playing, rest);
    let handle = set_timeout_with_handle(next, Duration::from_millis(scene.millis));
    timer.set_value(handle.ok());
}

fn prefers_reduced_motion() -> bool {
    let query = window().match_media("(prefers-reduced-motion: reduce)");
    query.ok().flatten().is_some_and(|query| query.matches())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_animation_is_short_and_shows_every_stop() {
        for last_stop in [1, 2, 5, 30] {
            let scenes = scenes(last_stop);
            let millis: u64 = scenes.iter().map(|scene| scene.millis).sum();
            assert!(millis < 5000, "{last_stop} stops take {millis} ms");
            for stop in 0..=last_stop {
                assert!(scenes.iter().any(|scene| scene.stop == stop), "{stop}");
            }
        }
    }
}
