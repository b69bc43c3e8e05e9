//! What replaces the curve of a bundle without measurements: how to add them, and what the page can
//! measure itself.

use leptos::prelude::*;

use super::measure_here::MeasureAllSizes;
use crate::browser::view::View;
use crate::state::dial::Dial;

/// The commands that measure a family and pack it again.
const COMMANDS: &str = "\
boomerang eval --teacher TEACHER --student STUDENT \\
    --data TEXTS --tasks TASKS --out measured
boomerang bundle --teacher TEACHER --student STUDENT \\
    --eval measured --out BUNDLE";

#[component]
pub fn Unmeasured(dial: Dial) -> impl IntoView {
    let has_task = dial.family.with_value(|family| family.manifest().task.is_some());
    view! {
        <h2 id="curve-heading">"Size and quality"</h2>
        <p id="unmeasured">
            "Not measured: this bundle contains no curve of quality against size. The dial and all \
             sizes work without it."
        </p>
        <MeasureAllSizes dial/>
        <p>"To add the curve, evaluate the family (texts, tasks or both) and make the bundle again:"</p>
        <pre class="commands">{COMMANDS}</pre>
        <p>"In this page, without the command line:"</p>
        <ul class="plain-list">
            <li>
                <a href=View::Lens.path()>"Loss on a text of yours"</a>
                ", for any size, the student and the teacher"
            </li>
            {has_task.then(|| view! {
                <li>
                    <a href=View::Device.path()>"Accuracy and speed"</a>
                    " of every size on this device, with the questions of this bundle"
                </li>
            })}
            <li><a href=View::Sweep.path()>"Agreement with the teacher"</a> ", token by token"</li>
        </ul>
    }
}
