// The two forms of the demo's single-page apps. A client sends them, for example the one in rest.js.

// `problemsOf` returns [{ field, text }] for an error in the site's answer, in the page's
// language; field may be null.
export function start(root, client, problemsOf) {
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

  const report = (form, problems) => {
    let first = null;
    for (const { field, text, lang } of problems) {
      const input = field && form.elements[field];
      const place = input ? document.getElementById(`${field}-error`) : general;
      place.lang = lang || document.documentElement.lang; // the language of the site's answers
      place.append(place.textContent && " ", text);
      input?.setAttribute("aria-invalid", "true");
      first ||= input;
    }
    first?.focus();
  };

  const submit = (form, send, done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("[type=submit]");
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      clear(form);
      try {
        await send();
        done();
        title.focus();
      } catch (error) {
        const text = "The answer is missing. Check your connection, then try again.";
        report(form, problemsOf(error) || [{ field: null, text, lang: "en" }]);
      }
      button.removeAttribute("aria-disabled");
    });
  };

  const username = request.elements.username;
  const { confirmation_code: code, password } = confirm.elements;
  submit(
    request,
    () => client.requestCode(username.value),
    () => {
      const text = `If an account matches ${username.value}, a code is on its way.`;
      show("confirm", "Enter the code", text);
    },
  );
  submit(
    confirm,
    () => client.confirmReset(username.value, code.value, password.value),
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
}
