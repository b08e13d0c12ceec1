// policy.js: what a new password must be.
export async function passwordRules(endpoint, input) {
  const response = await fetch(`${endpoint}policy/`);
  if (!response.ok) throw new Error(`The rules are missing: ${response.status}.`); // try without
  const { rules, hints, passwordrules } = await response.json();
  input.setAttribute("passwordrules", passwordrules); // so that password managers make a valid one
  return {
    texts: [...rules.map((rule) => rule.text), ...hints], // to show before a person types
    left: () => rules.filter((rule) => !new RegExp(rule.pattern, "su").test(input.value)),
  };
}
