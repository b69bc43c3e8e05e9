//! Where all this comes from.

use leptos::prelude::*;

#[component]
pub fn About() -> impl IntoView {
    view! {
        <article class="panel prose" aria-labelledby="about-heading">
            <h1 id="about-heading">"About"</h1>
            <h2>"The method"</h2>
            <p>
                "Boomerang distillation: a teacher is cut down to a student by dropping layers. The \
                student is trained once, with three aims: to predict the text, to give the teacher's \
                distribution of next tokens, and to have, after each of its layers, the state that \
                the teacher has at the same depth. Because of the third aim a student layer and the \
                teacher layers that it stands for can be exchanged. Every exchange is a model of \
                another size, and none of them is trained. The method is from "
                <a href="https://arxiv.org/abs/2510.05064">"arXiv:2510.05064"</a> "."
            </p>
            <h2>"The models on this page"</h2>
            <p>
                "The family that comes with the page was made by the program "
                <code>"boomerang demo"</code>
                ": a teacher of 12 layers and a student of 7, trained on texts about an invented \
                world that a program writes. They are small on purpose, so that they can be trained \
                in a minute and run anywhere. What they say about their world can be checked; they \
                know nothing of ours."
            </p>
            <p>
                "What is marked as recorded was written by the same code when the bundle was made, \
                and the curve was measured then, on questions that were held back from training. \
                What is marked as measured here was measured on your machine."
            </p>
            <h2>"Your data"</h2>
            <p>
                "The page speaks to the server that it came from, to fetch itself and the weights, \
                and to nobody else. What you type stays in this browser; a link holds what you put \
                into it when you copy it."
            </p>
            <h2>"Licence"</h2>
            <p>"The program, the page and the small family: MIT or Apache 2.0, as you like."</p>
        </article>
    }
}
