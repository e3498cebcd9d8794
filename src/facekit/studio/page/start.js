// Says that the server answers, and lists its runs.

const token = new URLSearchParams(location.search).get("token") ?? "";
const state = document.getElementById("state");

const answer = await fetch("/api/state", { headers: { "X-Facekit-Token": token } });
const told = await answer.json();
if (answer.ok) {
  state.textContent = `The server answers: facekit ${told.facekit}, ${told.faces.length} faces.`;
  for (const run of told.runs) {
    const item = document.createElement("li");
    item.textContent = `${run.name}: ${run.folder}, ${run.size} pixels, step ${run.step}`;
    document.getElementById("runs").append(item);
  }
} else {
  state.textContent = [told.error.message, told.error.remedy].filter(Boolean).join(": ");
}
