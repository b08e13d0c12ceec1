// A small client of the REST endpoints: what a single-page app has to do, and nothing else.
"use strict";

(() => {
  const root = document.querySelector("[data-spa]");
  const title = root.querySelector("[data-title]");
  const lead = root.querySelector("[data-lead]");
  const general = root.querySelector("[data-error]");
  const request = root.querySelector("form[data-step=request]");
  const confirm = root.querySelector("form[data-step=confirm]");

  const show = (step, heading, text) => {
    root.querySelectorAll("[data-step]").forEach((part) => {
      part.hidden = part.dataset.step !== step;
    });
    title.textContent = heading;
    lead.textContent = text;
    lead.hidden = false;
  };

  const clear = (form) => {
    general.textContent = "";
    form.querySelectorAll(".cr-error").forEach((place) => {
      place.textContent = "";
    });
    form.querySelectorAll("input").forEach((input) => input.removeAttribute("aria-invalid"));
  };

  const send = async (url, data) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(data),
    });
    return { response, body: await response.json() };
  };

  // {"type": …, "errors": [{"code", "detail", "attr"}]}: attr is the field, or null.
  const report = (form, response, body) => {
    let first = null;
    for (const error of body.errors) {
      const input = error.attr && form.elements[error.attr];
      if (input) {
        document.getElementById(`${error.attr}-error`).textContent = error.detail;
        input.setAttribute("aria-invalid", "true");
        first ||= input;
      } else {
        const wait = response.headers.get("Retry-After");
        general.textContent = wait ? `${error.detail} (${wait} seconds)` : error.detail;
      }
    }
    first?.focus();
  };

  const submit = (form, url, data, done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("[type=submit]");
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      clear(form);
      try {
        const { response, body } = await send(url, data());
        if (response.ok) {
          done();
          title.focus();
        } else {
          report(form, response, body);
        }
      } catch {
        general.textContent = "The answer is missing. Check your connection, then try again.";
      }
      button.removeAttribute("aria-disabled");
    });
  };

  submit(
    request,
    root.dataset.requestUrl,
    () => ({ username: request.elements.username.value }),
    () => {
      const name = request.elements.username.value;
      show("confirm", "Enter the code", `If an account matches ${name}, a code is on its way.`);
    },
  );
  submit(
    confirm,
    root.dataset.confirmUrl,
    () => ({
      username: request.elements.username.value,
      confirmation_code: confirm.elements.confirmation_code.value,
      password: confirm.elements.password.value,
    }),
    () => {
      confirm.reset();
      show("done", "Your password has been changed", "You can now sign in with it.");
    },
  );
  confirm.querySelector("[data-back]").addEventListener("click", () => {
    clear(confirm);
    confirm.reset();
    show("request", "Reset your password", "Ask for another code.");
    title.focus();
  });

  show("request", title.textContent, lead.textContent);
})();
