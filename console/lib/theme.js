// Dark or light: as the system has it, until somebody chooses.

const dark = matchMedia('(prefers-color-scheme: dark)');

export const isDark = () => {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === 'dark' : dark.matches;
};

export function start() {
  const chosen = localStorage.getItem('bongsu.theme');
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
}

export function toggle() {
  const next = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  localStorage.setItem('bongsu.theme', next);
}
