export function show(section, { first, setting }) {}
