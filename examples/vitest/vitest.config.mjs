// Of this folder alone; your own project has its own.
export default { test: { include: ['*.test.mjs'] } };
