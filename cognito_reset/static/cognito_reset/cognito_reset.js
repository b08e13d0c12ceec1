// Every page works without this script.
"use strict";

(() => {
  const each = (selector, use) => document.querySelectorAll(selector).forEach(use);

  each("[data-cr-summary]", (summary) => summary.focus());

  each("[data-cr-toggle]", (button) => {
    const input = document.getElementById(button.getAttribute("aria-controls"));
    const texts = button.dataset;
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      button.textContent = shown ? texts.hide : texts.show;
      button.setAttribute("aria-label", shown ? texts.hideLabel : texts.showLabel);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = input.type === "password";
      show(shown);
      button.nextElementSibling.textContent = shown ? texts.shown : texts.hidden;
    });
    // Browsers remember values of text fields, but not of password fields.
    input.form.addEventListener("submit", () => show(false));
  });

  // Tick off the password's rules at each key. Screen readers read them when typing stops. Don't send a
  // password that breaks a rule, because the code would have to be typed again.
  each("[data-cr-rules]", (list) => {
    const input = document.getElementById(list.dataset.crRules);
    const status = list.parentElement.querySelector("[data-cr-rules-status]");
    const rules = [...list.querySelectorAll("[data-cr-pattern]")];
    let timer;
    // Show the state of each rule, and return the rules that the password breaks.
    const broken = (isSent) => rules.filter((rule) => {
      const kept = new RegExp(rule.dataset.crPattern, "su").test(input.value);
      rule.classList.toggle("cr-kept", kept);
      rule.classList.toggle("cr-missed", isSent && !kept);
      rule.firstElementChild.hidden = !isSent || kept;
      rule.lastElementChild.hidden = !kept;
      return !kept;
    });
    const words = (rule) => rule.children[1].textContent;
    input.addEventListener("input", () => {
      const texts = broken(false).map(words);
      input.removeAttribute("aria-invalid");
      clearTimeout(timer);
      timer = setTimeout(() => {
        const done = input.value === input.value.trim() ? status.dataset.done : "";
        status.textContent = input.value && (texts.join(" ") || done);
      }, 1500);
    });
    input.form.addEventListener("submit", (event) => {
      const missed = input.value ? broken(true) : [];
      if (!missed.length) return;
      event.preventDefault();
      status.textContent = missed.map(words).join(" ");
      input.setAttribute("aria-invalid", "true");
      input.focus();
    });
    // The browser may have filled in the field. If not, keep the states that the server sent.
    if (input.value) broken(false);
  });

  // Don't send a form twice, or during the wait for another code. A button that is only marked as disabled
  // keeps the focus.
  each("[data-cr-form]", (form) => {
    const button = form.querySelector("[type=submit]");
    const wait = form.querySelector("[data-cr-wait]");
    let end = wait ? Date.now() + 1000 * wait.dataset.crWait : 0;
    const disable = (disabled) => button.setAttribute("aria-disabled", disabled);
    const release = () => disable(end > Date.now());

    form.addEventListener("submit", (event) => {
      if (button.getAttribute("aria-disabled") === "true") {
        event.preventDefault();
      } else if (!event.defaultPrevented) {
        disable(true);
        setTimeout(release, 20000); // the person stopped the page
      }
    });
    addEventListener("pageshow", release);

    if (!wait) return;
    const texts = wait.dataset;
    const plural = plurals(texts.language);
    const tick = () => {
      const seconds = Math.ceil((end - Date.now()) / 1000);
      if (seconds > 0) {
        const like = [1, 2, 3, 11].find((number) => plural(number) === plural(seconds)) || 11;
        wait.textContent = texts[`text-${like}`].replace(like, seconds);
      } else {
        end = 0;
        clearInterval(timer);
        wait.hidden = true;
        form.querySelector("[data-cr-over]").textContent = texts.over; // screen readers announce it once
        button.removeAttribute("aria-describedby");
        release();
      }
    };
    const timer = setInterval(tick, 1000);
  });

  each("#id_confirmation_code", followLink);

  // The link in the message ends in #username=alice&code=123456. Browsers send this part to no server. Fill
  // in the form from it; the person sends the form.
  function followLink(code) {
    const follow = () => {
      const link = new URLSearchParams(location.hash.slice(1));
      const username = link.get("username") || "";
      if (!/^[^\p{C}\p{Z}]{1,128}$/u.test(username) || !/^\d{1,10}$/.test(link.get("code"))) return;
      history.replaceState(null, "", location.href.split("#")[0]);
      // Also in the form for another code, because the session may have another person's name.
      each("[data-cr-form] [name=username]", (input) => (input.value = username));
      code.value = link.get("code");
      const heading = document.querySelector(".cr-title");
      each("[data-cr-linked]", (lead) => {
        document.title = document.title.replace(heading.textContent, () => lead.dataset.title);
        heading.textContent = lead.dataset.title;
        lead.querySelector("bdi").textContent = username;
        lead.previousElementSibling.hidden = true;
        lead.hidden = false;
      });
      each("[data-cr-no-code]", (part) => (part.hidden = true));
      heading.tabIndex = -1;
      heading.focus(); // the text after it tells whose password will be changed
    };
    follow();
    addEventListener("hashchange", follow);
  }

  function plurals(language) {
    try {
      const rules = new Intl.PluralRules(language);
      return (number) => rules.select(number);
    } catch {
      return (number) => number === 1;
    }
  }
})();
