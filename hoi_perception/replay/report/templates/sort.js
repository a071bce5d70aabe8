// Sort a table by the column whose heading is pressed; without scripts tables stay as they are.
document.querySelectorAll('table.sortable thead th').forEach((th) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(...th.childNodes);
  th.append(button);
  button.addEventListener('click', () => {
    const column = th.cellIndex, body = th.closest('table').tBodies[0];
    const down = th.getAttribute('aria-sort') === 'descending';
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)], [p, q] = [parseFloat(x), parseFloat(y)];
      if (isNaN(p) !== isNaN(q)) return isNaN(p) ? 1 : -1;
      const difference = isNaN(p) ? x.localeCompare(y) : p - q;
      return down ? difference : -difference;
    };
    th.parentNode.querySelectorAll('th').forEach((other) => other.removeAttribute('aria-sort'));
    th.setAttribute('aria-sort', down ? 'ascending' : 'descending');
    body.append(...[...body.rows].sort(order));
  });
});
