// Answers that a page doesn't need anew at each refresh, because asking costs a service more than knowing is worth.

/** The last answer while it is fresh, else a new one; where that fails the problem stands in its place. */
export async function seldom(visit, name, everyMs, ask) {
  const kept = (visit.state.seldom ??= {});
  const last = kept[name];
  if (last && Date.now() - last.at < everyMs) return last.answer;
  const answer = await allowed(ask());
  kept[name] = { at: Date.now(), answer };
  return answer;
}

/** An answer, or `{problem}`: for parts of a page that can do without. Who broke the page off broke off this as well. */
export async function allowed(answer) {
  try {
    return await answer;
  } catch (problem) {
    if (problem.name === 'AbortError' || problem.status === 401) throw problem;
    return { problem };
  }
}

/** The next look asks again, whatever is known. */
export function forget(visit) {
  visit.state.seldom = {};
}
